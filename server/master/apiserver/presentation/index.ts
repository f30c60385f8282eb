export { Presenter } from './presenter.ts'
export { negotiate, negotiateWhole, parseAccept, type Representation } from './representation.ts'
