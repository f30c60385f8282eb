import t from 'tap'
import { Program } from '../../../netplugins/bpf/index.ts'

/** As the kernel's own disassembler shows instructions: opcode, registers, offset, number. */
function words(program: Program): string[] {
  const bytes = program.bytes()
  return Array.from({ length: bytes.length / 8 }, (_, index) =>
    bytes.toString('hex', index * 8, index * 8 + 8),
  )
}

t.test('instructions are written as RFC 9669 says', async t => {
  const program = new Program()
    .load(4, 1, 6, 76)
    .load(8, 2, 9, -8)
    .store(2, 10, -16, 3)
    .compute('set', 0, -1)
    .compute('add', 1, { register: 2 })
    .compute('and', 1, 0x3c)
    .map(1, 7)
    .mapValue(1, 8)
    .call(23)
    .exit()
  t.strictSame(words(program), [
    '61614c0000000000',
    '7992f8ff00000000',
    '6b3af0ff00000000',
    'b7000000ffffffff',
    '0f21000000000000',
    '570100003c000000',
    '1811000007000000',
    '0000000000000000',
    '1821000008000000',
    '0000000000000000',
    '8500000017000000',
    '9500000000000000',
  ])
})

t.test('jumps count instructions from the one behind them', async t => {
  const program = new Program()
    .label('top')
    .jumpIf(1, 'equal', 5, 'end')
    .jumpIf(1, 'above', { register: 2 }, 'top')
    .jump('end')
    .map(3, 1)
    .label('end')
    .exit()
  t.strictSame(words(program).slice(0, 3), ['1501040005000000', '2d21feff00000000', '0500020000000000'])
})

t.test('a jump to nowhere is refused', async t => {
  t.throws(() => new Program().jump('nowhere').bytes(), /nowhere/)
})
