/** Paths of fields as Kubernetes writes them: `spec.ports[0].name`. */

export function childPath(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`
}

export function itemPath(path: string, index: number): string {
  return `${path}[${index}]`
}
