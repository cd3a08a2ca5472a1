import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

// `npm run dev` shows the page with hot reload against a server that runs beside it.
const server = 'http://127.0.0.1:5000'

export default defineConfig({
  plugins: [react()],
  build: {
    target: 'es2023',
    // The page's CSP allows no inline scripts; browsers that run ES2023 preload modules themselves.
    modulePreload: { polyfill: false },
  },
  server: { proxy: { '/api': server, '/events': server } },
})
