/** Validation at the boundary: JSON Schema (TypeBox) in, typed value or a clear error out. */
import { Compile, type Static, type TSchema } from '#packages'
import { kitErrors } from './errors.ts'

export { type Static, type TSchema, Type } from '#packages'

/** A compiled schema. */
export interface Validator<T> {
  /** Whether `value` fits. */
  accepts(value: unknown): value is T
  /**
   * `value`, typed.
   *
   * @param object what is being read, for the error
   * @throws `InvalidFormat` naming the first field that does not fit
   */
  parse(value: unknown, object: string): T
}

function fieldPath(instancePath: string): string {
  return instancePath
    .split('/')
    .slice(1)
    .map(part => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .join('.')
}

/** Compiles a schema on its first use, so that importing a room with many schemas costs nothing. */
export function validatorOf<Schema extends TSchema>(schema: Schema): Validator<Static<Schema>> {
  type Value = Static<Schema>
  let compiled:
    | { Check(value: unknown): boolean; Errors(value: unknown): { instancePath: string; message: string }[] }
    | undefined
  const validator = () => {
    compiled ??= Compile(schema) as NonNullable<typeof compiled>
    return compiled
  }
  return {
    accepts: (value): value is Value => validator().Check(value),
    parse(value, object) {
      if (validator().Check(value)) return value as Value
      const errors = validator().Errors(value)
      // The deepest path is the closest to the mistake; parents only repeat that a child is wrong.
      const worst = errors.toSorted((a, b) => b.instancePath.length - a.instancePath.length)[0]
      const field = fieldPath(worst?.instancePath ?? '')
      throw kitErrors.InvalidFormat({
        object,
        ...(field === '' ? {} : { field }),
        message: `${field === '' ? 'the value' : `field ${field}`} ${worst?.message ?? 'does not fit'}`,
      })
    },
  }
}
