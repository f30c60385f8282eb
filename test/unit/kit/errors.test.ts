import t from 'tap'
import { DroverError, defineErrors, explainError, isDroverError } from '../../../kit/index.ts'

const errors = defineErrors({
  NotFound: { status: 404, message: 'does not exist', mend: 'create it first' },
})

t.test('an error says what, what was expected and the mend', async t => {
  const error = errors.NotFound({ object: 'stack web', expected: 'a stack of this project' })
  t.type(error, DroverError)
  t.equal(error.code, 'NotFound')
  t.equal(error.status, 404)
  t.equal(error.explain(), 'stack web: does not exist; expected a stack of this project; create it first')
})

t.test('an occurrence overrides message and mend', async t => {
  const error = errors.NotFound({ message: 'was removed', mend: 'restore it' })
  t.equal(error.explain(), 'was removed; restore it')
})

t.test('codes are compared, not texts', async t => {
  t.ok(isDroverError(errors.NotFound()))
  t.ok(isDroverError(errors.NotFound(), 'NotFound'))
  t.notOk(isDroverError(errors.NotFound(), 'Conflict'))
  t.notOk(isDroverError(new Error('NotFound')))
  t.equal(explainError(new Error('plain')), 'plain')
  t.equal(explainError('text'), 'text')
})
