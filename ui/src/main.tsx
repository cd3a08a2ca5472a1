import { QueryCache, QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import 'uplot/dist/uPlot.min.css'
import { ApiError } from './api/client'
import { session } from './api/queries'
import { router } from './router'
import './styles/base.css'
import './styles/parts.css'
import './styles/pages.css'

const client = new QueryClient({
  queryCache: new QueryCache({
    // A session ends while the page is open.
    onError: (error) => {
      if (error instanceof ApiError && error.status === 401) void client.invalidateQueries(session)
    },
  }),
  defaultOptions: {
    queries: {
      // Events say what changed; this only bounds how wrong a page can be that lost its line.
      staleTime: 30_000,
      retry: (failures, error) => failures < 2 && !(error instanceof ApiError && error.status < 500),
    },
  },
})

const root = document.getElementById('root')
if (!root) throw new Error('index.html has no element `root`')
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={client}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  </StrictMode>,
)
