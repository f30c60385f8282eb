export { Presenter } from './presenter.ts'
export { negotiate, parseAccept, type Representation } from './representation.ts'
