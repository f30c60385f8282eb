/** Which steps lead on from where. Pure. */
import type { MetadataPosition, MetadataStep } from '../../../protocol/index.ts'

/** Whether `step` may be applied by a copy that stands at `position`. */
export function followsFrom(position: MetadataPosition | undefined, step: MetadataStep): boolean {
  return (
    position?.generation === step.generation &&
    step.from <= position.sequence &&
    position.sequence <= step.sequence
  )
}

/** Whether a copy at `position` has everything of `step` already. */
export function isOldNews(position: MetadataPosition, step: MetadataStep): boolean {
  return position.generation === step.generation && step.sequence < position.sequence
}

/** Where a copy stands that was at `position` and has applied `step`. */
export function positionAfter(position: MetadataPosition, step: MetadataStep): MetadataPosition {
  return step.more ? position : { generation: step.generation, sequence: step.sequence }
}
