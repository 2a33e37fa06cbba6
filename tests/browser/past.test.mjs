// The last hour, made from events: without a browser.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HOUR, Past, STEPS } from '../../src/api/page/past.mjs';

const NOW = Date.parse('2026-11-30T12:00:00Z');
const MINUTE = 60_000;
const STEP = HOUR / STEPS;

// A past of events, each as [minutes ago, message, facts].
function past(begin, ...events) {
  const it = new Past(NOW - begin * MINUTE);
  for (const [minutes, msg, facts] of events)
    it.take({ time: new Date(NOW - minutes * MINUTE).toISOString(), msg, ...facts });
  return it;
}

// The number at so many minutes ago.
const at = (series, minutes) => series[Math.min(STEPS - 1, Math.floor((HOUR - minutes * MINUTE) / STEP))];
const none = { waiting: [], instances: [] };
const seriesOf = (it, { waiting, instances } = none) => it.series(NOW, waiting, instances, () => 0.5);

test('a container waits from when it is added until its process starts', () => {
  const uuid = { ContainerUUID: 'a' };
  const series = seriesOf(
    past(60, [40, 'adding container to queue', { ...uuid, State: 'Queued' }], [20, 'crunch-run process started', uuid]),
  );
  assert.deepEqual(
    [50, 39, 30, 21, 19, 0].map(minutes => at(series.waiting, minutes)),
    [0, 1, 1, 1, 0, 0],
  );
});

test('one that is started has waited before, and one that waits now has not ended', () => {
  const it = past(
    60,
    [30, 'crunch-run process started', { ContainerUUID: 'a' }],
    [10, 'adding container to queue', { ContainerUUID: 'b', State: 'Queued' }],
  );
  const series = seriesOf(it, {
    ...none,
    waiting: [
      { id: 'b', since: NOW - 10 * MINUTE },
      { id: 'c', since: NOW - 5 * MINUTE },
    ],
  });
  assert.deepEqual(
    [59, 31, 29, 11, 9, 4, 0].map(minutes => at(series.waiting, minutes)),
    [1, 1, 0, 0, 1, 2, 2],
  );
});

test('one whose attempt came to nothing waits again', () => {
  const uuid = { ContainerUUID: 'a' };
  const series = seriesOf(
    past(
      60,
      [50, 'adding container to queue', { ...uuid, State: 'Queued' }],
      [40, 'crunch-run process started', uuid],
      [30, 'crunch-run process ended', uuid],
      [29, 'requeueing locked container', uuid],
      [20, 'dropping container from queue', uuid],
    ),
  );
  assert.deepEqual(
    [45, 35, 25, 15].map(minutes => at(series.waiting, minutes)),
    [1, 0, 1, 0],
  );
});

test('a VM boots, is idle, is busy, is on hold and goes, and costs money all the while', () => {
  const id = { Instance: 'i', InstanceType: 'small' };
  const series = seriesOf(
    past(
      60,
      [50, 'instance appeared in cloud', id],
      [40, 'probes succeeded, instance is in service', id],
      [30, 'crunch-run process started', { ...id, ContainerUUID: 'a' }],
      [20, 'crunch-run process ended', { ...id, ContainerUUID: 'a' }],
      [15, 'set idle behavior', { ...id, IdleBehavior: 'hold' }],
      [10, 'instance disappeared in cloud', id],
    ),
  );
  const category = minutes =>
    Object.keys(series.vms)
      .filter(name => at(series.vms[name], minutes))
      .join();
  assert.deepEqual([55, 45, 35, 25, 17, 12, 5].map(category), ['', 'booting', 'idle', 'busy', 'idle', 'hold', '']);
  assert.deepEqual(
    [55, 45, 12, 5].map(minutes => at(series.cost, minutes)),
    [0, 0.5, 0.5, 0],
  );
});

test('of a VM that is heard of first when something changes it is concluded what it was', () => {
  const series = seriesOf(
    past(
      60,
      [30, 'crunch-run process ended', { Instance: 'was-busy' }],
      [30, 'crunch-run process started', { Instance: 'was-idle' }],
      [30, 'instance disappeared in cloud', { Instance: 'gone' }],
    ),
  );
  assert.deepEqual([at(series.vms.busy, 45), at(series.vms.idle, 45)], [1, 2]);
});

test('a VM of the present has been there since it appeared, though no event tells', () => {
  const instances = [{ id: 'i', category: 'busy', since: NOW - 20 * MINUTE, price: 2 }];
  const series = seriesOf(past(60), { ...none, instances });
  assert.deepEqual(
    [25, 15, 0].map(minutes => at(series.vms.busy, minutes)),
    [0, 1, 1],
  );
  assert.equal(at(series.cost, 0), 2);
});

test('failed boots are counted in their step, and what is older than an hour is forgotten', () => {
  const it = past(
    120,
    [90, 'boot failed', { Instance: 'a' }],
    [30, 'boot failed', { Instance: 'b' }],
    [30, 'instance ended while it was booting', { Instance: 'c' }],
  );
  it.forget(NOW);
  const series = seriesOf(it);
  assert.equal(at(series.failures, 30), 2);
  assert.equal(
    series.failures.reduce((sum, number) => sum + number),
    2,
  );
  assert.equal(series.begin, NOW - HOUR);
});

test('a past that has just begun is shown larger', () => {
  assert.equal(past(60).span(NOW), HOUR);
  assert.equal(past(90).span(NOW), HOUR);
  assert.equal(past(20).span(NOW), 20 * MINUTE);
  assert.equal(past(1).span(NOW), 5 * MINUTE);
  const uuid = { ContainerUUID: 'a' };
  const { waiting } = seriesOf(
    past(20, [10, 'adding container to queue', { ...uuid, State: 'Queued' }], [5, 'crunch-run process started', uuid]),
  );
  assert.equal(waiting.filter(number => number === 1).length, STEPS / 4);
});
