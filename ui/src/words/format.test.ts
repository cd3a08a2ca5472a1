import { describe, expect, test } from 'vitest'
import { ago, bytes, count, duration, number, percent, period, pValue, tick } from './format'

describe('number', () => {
  test.each([
    [61.827364, '61.827'],
    [0, '0'],
    [12165, '12165'],
    [0.00051847, '0.00051847'],
    [0.0000123456, '1.2346e-5'],
    [1e-7, '1e-7'],
    [1.7976931348623157e308, '1.7977e308'],
    ['NaN', 'NaN'],
    [null, '–'],
    [undefined, '–'],
  ])('%s reads %s', (value, text) => {
    expect(number(value)).toBe(text.replace('e308', 'e+308'))
  })
})

test('a share is a percentage, with a digit more where it is small', () => {
  expect([0, 0.05, 0.0123, 0.5, 0.625, 1].map(percent)).toEqual(['0 %', '5 %', '1.2 %', '50 %', '63 %', '100 %'])
})

test('a p-value that is as good as zero says so, and a missing one too', () => {
  expect([1e-9, 0.034567, null].map(pValue)).toEqual(['< 0.0001', '0.035', 'no test'])
})

test('lengths of time are read in the unit they are lived in', () => {
  expect([3, 1500, 42_000, 125_000, 3_900_000, 90_000_000].map(duration)).toEqual(['3 ms', '1.5 s', '42 s', '2 min 5 s', '1 h 5 min', '1 d 1 h'])
  expect([0, 30_000, 300_000, 7_200_000, 172_800_000].map((passed) => ago(0, passed))).toEqual([
    'just now',
    '30 s ago',
    '5 min ago',
    '2 h ago',
    '2 d ago',
  ])
})

test('a window is named by its days, or by its hours where days are too coarse', () => {
  const at = (text: string) => Date.parse(`${text}Z`)
  expect(period(at('2011-11-03T00:00'), at('2011-11-04T00:00'))).toBe('3 Nov 2011')
  expect(period(at('2011-11-03T00:00'), at('2011-11-10T00:00'))).toBe('3 – 9 Nov 2011')
  expect(period(at('2011-11-28T00:00'), at('2011-12-05T00:00'))).toBe('28 Nov – 4 Dec 2011')
  expect(period(at('2011-12-29T00:00'), at('2012-01-05T00:00'))).toBe('29 Dec 2011 – 4 Jan 2012')
  expect(period(at('2011-11-03T14:00'), at('2011-11-03T15:00'))).toBe('3 Nov 2011, 14:00 – 15:00')
  expect(period(at('2011-11-03T23:00'), at('2011-11-04T00:30'))).toBe('3 Nov 2011, 23:00 – 4 Nov 2011, 00:30')
})

test('a tick is as coarse as the distance of ticks', () => {
  const at = Date.parse('2012-01-01T00:00Z')
  expect([31 * 86_400_000, 7 * 86_400_000, 3_600_000, 1000].map((distance) => tick(at, distance, 'utc'))).toEqual([
    'Jan 2012',
    '1 Jan',
    '1 Jan',
    '00:00:00',
  ])
})

test('sizes and counts', () => {
  expect([0, 712, 88_211, 1_834_221].map(bytes)).toEqual(['0 B', '712 B', '88.2 KB', '1.8 MB'])
  expect([count(1, 'run'), count(2, 'run')]).toEqual(['1 run', '2 runs'])
})
