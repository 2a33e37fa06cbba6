// The last hour, made from the service's events: who waited when, and what each VM did.
//
//   events, oldest first ──► spans: a container waited, a VM was of a category, from … to …
//   spans + the present ──► series: a number for each step of the hour
//
// An event tells of a change, so what was before the first event of a thing is concluded from that event: a container that
// is started has waited. What is now is known from the lists, and ends every series.

import { CATEGORIES } from './model.mjs';

export const HOUR = 3_600_000;
export const STEPS = 120;
// A past that has just begun is shown at this length: of less there is not much to see.
const SHORTEST = HOUR / 12;

const ADDED = 'adding container to queue';
const STARTED = new Set(['crunch-run process started', 'crunch-run process detected']);
const ENDED = 'crunch-run process ended';
const LEFT = new Set([
  'container finished -- dropping from queue',
  'container on hold -- dropping from queue',
  'dropping container from queue',
  'container not found by controller (deleted?)',
]);
const REQUEUED = 'requeueing locked container';
const APPEARED = 'instance appeared in cloud';
const IN_SERVICE = 'probes succeeded, instance is in service';
const BEHAVIOR = 'set idle behavior';
const DISAPPEARED = 'instance disappeared in cloud';
const BOOT_FAILURES = new Set(['boot failed', 'instance ended while it was booting']);

export class Past {
  constructor(begin) {
    // Nothing is known of what was before.
    this.begin = begin;
    // Times in which a container waited, as [from, to].
    this.waits = [];
    // Times in which a VM was of a category, as { from, to, category, type, price }.
    this.stays = [];
    this.failures = [];
    this.containers = new Map();
    this.instances = new Map();
  }

  // Takes in an event. They come in their order.
  take(event) {
    const at = Date.parse(event.time);
    if (!at) return;
    const { msg, ContainerUUID: uuid, Instance: id } = event;
    if (BOOT_FAILURES.has(msg)) this.failures.push(at);
    if (uuid) this.takeContainer(msg, uuid, at, event);
    if (id) this.takeInstance(msg, id, at, event);
  }

  takeContainer(msg, uuid, at, event) {
    const known = this.containers.get(uuid);
    if (msg === ADDED) {
      if (event.State !== 'Running') this.containers.set(uuid, { waitsSince: known?.waitsSince ?? at });
    } else if (msg === REQUEUED) {
      if (!known?.waitsSince) this.containers.set(uuid, { waitsSince: at });
    } else if (STARTED.has(msg) || LEFT.has(msg)) {
      // Of one that is heard of for the first time: it has waited until now.
      if (!known) this.waits.push([this.begin, at]);
      else if (known.waitsSince) this.waits.push([known.waitsSince, at]);
      if (LEFT.has(msg)) this.containers.delete(uuid);
      else this.containers.set(uuid, { waitsSince: 0 });
    } else if (msg === ENDED && !known) {
      this.containers.set(uuid, { waitsSince: 0 });
    }
  }

  takeInstance(msg, id, at, event) {
    const vm = this.instances.get(id) ?? { since: this.begin, category: '', processes: 0, isHeld: false, type: '' };
    vm.type = event.InstanceType || vm.type;
    const before = { ...vm };
    if (msg === APPEARED) {
      Object.assign(vm, { since: at, isHeld: event.IdleBehavior === 'hold', isBooting: true });
    } else if (msg === IN_SERVICE) {
      before.category ||= 'booting';
      vm.isBooting = false;
    } else if (STARTED.has(msg)) {
      before.category ||= 'idle';
      Object.assign(vm, { processes: vm.processes + 1, isBooting: false });
    } else if (msg === ENDED) {
      before.category ||= 'busy';
      vm.processes = Math.max(0, vm.processes - 1);
    } else if (msg === BEHAVIOR) {
      vm.isHeld = event.IdleBehavior === 'hold';
    } else if (msg !== DISAPPEARED) {
      return;
    }
    vm.category = categoryOf(vm);
    this.instances.set(id, vm);
    if (msg === DISAPPEARED) {
      this.close({ ...before, category: before.category || 'idle' }, at);
      this.instances.delete(id);
    } else if (msg !== APPEARED && before.category && before.category !== vm.category) {
      this.close(before, at);
      vm.since = at;
    }
  }

  close(vm, at) {
    if (at > vm.since) this.stays.push({ from: vm.since, to: at, category: vm.category, type: vm.type });
  }

  // Forgets what was before the last hour.
  forget(now) {
    const from = now - HOUR;
    this.waits = this.waits.filter(([, to]) => to > from);
    this.stays = this.stays.filter(({ to }) => to > from);
    this.failures = this.failures.filter(at => at > from);
  }

  // How long a time is shown: the last hour, or less if it is not known.
  span(now) {
    return Math.min(HOUR, Math.max(SHORTEST, now - this.begin));
  }

  // Arrays with a number for each step of the time that is shown, the last being the present. `waiting` and `instances`
  // are the rows of now; `priceOf` a type's price.
  series(now, waiting, instances, priceOf) {
    const steps = () => new Steps(now, this.span(now));
    const sums = { waiting: steps(), cost: steps(), failures: steps() };
    const vms = Object.fromEntries(CATEGORIES.map(category => [category, steps()]));
    for (const [from, to] of this.waits) sums.waiting.add(from, to, 1);
    for (const row of waiting) {
      sums.waiting.add(this.containers.get(row.id)?.waitsSince || row.since, now, 1);
    }
    for (const { from, to, category, type } of this.stays) {
      vms[category].add(from, to, 1);
      sums.cost.add(from, to, priceOf(type));
    }
    for (const row of instances) {
      const since = Math.max(this.instances.get(row.id)?.since ?? 0, row.since);
      vms[row.category].add(since, now, 1);
      sums.cost.add(since, now, row.price);
    }
    for (const at of this.failures) sums.failures.add(at, at, 1);
    return {
      begin: Math.max(this.begin, now - this.span(now)),
      waiting: sums.waiting.levels(),
      cost: sums.cost.levels(),
      failures: sums.failures.counts(),
      vms: Object.fromEntries(CATEGORIES.map(category => [category, vms[category].levels()])),
    };
  }
}

function categoryOf(vm) {
  if (vm.processes) return 'busy';
  if (vm.isHeld) return 'hold';
  return vm.isBooting ? 'booting' : 'idle';
}

// The steps of the time that ends now. What lasts from one moment to another counts in each step at whose end it lasts.
class Steps {
  constructor(now, span) {
    this.from = now - span;
    this.length = span / STEPS;
    this.changes = new Float64Array(STEPS + 1);
    this.hits = new Float64Array(STEPS);
  }

  step(at) {
    return Math.min(STEPS, Math.max(0, Math.floor((at - this.from) / this.length)));
  }

  add(from, to, amount) {
    if (to < this.from) return;
    this.hits[Math.min(STEPS - 1, this.step(to))] += amount;
    // What lasts until now is in the last step, too.
    this.changes[Math.min(STEPS - 1, this.step(from))] += amount;
    this.changes[this.step(to)] -= amount;
  }

  levels() {
    let level = 0;
    return Array.from(this.changes.subarray(0, STEPS), change => {
      level += change;
      return Math.abs(level) < 1e-9 ? 0 : level;
    });
  }

  counts() {
    return Array.from(this.hits);
  }
}
