// Registered models, with the versions that their aliases name.

import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { models } from '../api/queries'
import { Alias } from '../parts/badge'
import { Empty, Loaded } from '../parts/state'
import { Table } from '../parts/table'
import { When } from '../parts/when'
import { useTitle } from './shell'

export function ModelsPage() {
  useTitle('Models')
  const asked = useQuery(models)
  return (
    <section className="page">
      <h1>Models</h1>
      <Loaded query={asked}>
        {(found) =>
          found.length === 0 ? (
            <Empty title="No model registered yet." command="lathe run">
              A run registers what <code>[model.NAME]</code> of <code>lathe.toml</code> names, and any mlflow client may register
              one.
            </Empty>
          ) : (
            <Table label="Models">
              <thead>
                <tr>
                  <th scope="col">Model</th>
                  <th scope="col">Aliases</th>
                  <th scope="col" className="number">
                    Newest version
                  </th>
                  <th scope="col">Changed</th>
                  <th scope="col">Description</th>
                </tr>
              </thead>
              <tbody>
                {found.map(({ name, aliases = [], latest_versions = [], last_updated_timestamp, description }) => {
                  const newest = Math.max(0, ...[...latest_versions, ...aliases].map(({ version }) => Number(version)))
                  return (
                    <tr key={name} data-model={name}>
                      <th scope="row">
                        <Link to="/models/$name" params={{ name }}>
                          {name}
                        </Link>
                      </th>
                      <td>
                        {aliases.length === 0 && '–'}
                        <span className="aliases">
                          {aliases.map(({ alias, version }) => (
                            <Link key={alias} to="/models/$name" params={{ name }} search={{ version }}>
                              <Alias>{alias}</Alias> → {version}
                            </Link>
                          ))}
                        </span>
                      </td>
                      <td className="number">{newest || '–'}</td>
                      <td>{last_updated_timestamp ? <When at={last_updated_timestamp} /> : '–'}</td>
                      <td>{description || '–'}</td>
                    </tr>
                  )
                })}
              </tbody>
            </Table>
          )
        }
      </Loaded>
    </section>
  )
}
