/** Variables in compose files: `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`; `$$` is a dollar sign. */

/** Groups: dollar, plain name, name in braces, operator, default, anything else after the dollar. */
export const COMPOSE_VARIABLE =
  /\$(?:(\$)|([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?-)([^}]*))?\}|(.?))/g

/** Names of the variables that `text` uses. */
export function composeVariables(text: string): string[] {
  const names = [...text.matchAll(COMPOSE_VARIABLE)].map(match => match[2] ?? match[3])
  return [...new Set(names.filter(name => name !== undefined))]
}
