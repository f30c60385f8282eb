import t from 'tap'
import { catchesReload } from '../../../lb/reload-signal.ts'

const status = (caught: string) =>
  `Name:\thaproxy\nSigIgn:\t0000000004001800\nSigCgt:\t${caught}\nCapInh:\t0000000000000000\n`

t.test('a master that listens is told from one that does not yet', async t => {
  t.ok(catchesReload(status('0000000100716a03')), 'in its loop')
  t.notOk(catchesReload(status('0000000100000000')), 'it reads its configuration')
  t.notOk(catchesReload(status('0000000100702205')), 'it is about to execute itself')
  t.notOk(catchesReload('Name:\tzombie\n'), 'a process that ended')
})
