export { type Operand, Program, type Register, type Width } from './instructions.ts'
export { BpfMap, type MapOptions } from './maps.ts'
export {
  attachedPrograms,
  attachProgram,
  closeProgram,
  type Direction,
  detachPrograms,
  type LoadedProgram,
  loadProgram,
  type Position,
} from './programs.ts'
