import t from 'tap'
import { reportedImages } from '../../../../agent/runtime/node-images.ts'

t.test('the largest images, by some of their names', async t => {
  const images = Array.from({ length: 60 }, (_, index) => ({ names: [`i:${index}`], size: index }))
  const reported = reportedImages(images)
  t.equal(reported.length, 50)
  t.strictSame(reported[0], { names: ['i:59'], sizeBytes: 59 })
  const many = Array.from({ length: 9 }, (_, index) => `a:${index}`)
  t.strictSame(reportedImages([{ names: ['<none>:<none>', ...many], size: 1 }]), [
    { names: many.slice(0, 5), sizeBytes: 1 },
  ])
  t.strictSame(reportedImages([{ names: ['<none>:<none>', '<none>@<none>'], size: 1 }]), [])
})
