// The head: how the cluster is, in nine numbers. What is well is quiet; what is not has a sign and a colour.

import { byId, make, mark, say } from './dom.mjs';
import { count, duration, money } from './text.mjs';
import { cost, isWaiting, model, sumOf, tally } from './model.mjs';
import { now } from './client.mjs';

// How the categories of VMs are called beside their number.
const CALLED = { busy: 'busy', booting: 'booting', idle: 'idle', hold: 'on hold', unknown: 'unknown' };

const NAMES = {
  health: 'Health',
  waiting: 'Waiting',
  running: 'Running',
  vms: 'VMs',
  cost: 'Cost per hour',
  quota: 'Quota',
  pauses: 'Pauses',
  feed: 'Event feed',
  lock: 'Lock',
};

export class Head {
  constructor(open) {
    this.numbers = {};
    this.parts = new Map(
      Object.entries(NAMES).map(([id, name]) => {
        const [value, more] = [make('b'), make('span', { class: 'more' })];
        const button = make(
          'button',
          { class: 'stat', id: `stat-${id}`, onclick: () => open('status', '') },
          make('span', { class: 'label' }, name),
          value,
          more,
        );
        return [id, { button, value, more }];
      }),
    );
    byId('stats').replaceChildren(...[...this.parts.values()].map(part => part.button));
  }

  // What the metrics tell and nothing else does.
  takeMetrics(families) {
    this.ceiling = sumOf(families, 'max_concurrent_containers');
    this.notEnding = sumOf(families, 'instances_not_ending');
  }

  show() {
    // A cluster's id is the beginning of each uuid.
    const cluster = model.containers[0]?.id.slice(0, 5) ?? this.cluster ?? '';
    this.cluster = cluster;
    say(byId('cluster'), cluster);
    for (const [id, told] of Object.entries(numbers(this))) {
      const { button, value, more } = this.parts.get(id);
      const [text, rest, tone = ''] = told;
      say(value, text);
      say(more, rest);
      mark(button, 'class', `stat ${tone}`);
      mark(button, 'title', rest);
    }
  }
}

// For each number its text, what is added to it, and its tone if it is not well.
function numbers({ ceiling, notEnding }) {
  const waiting = model.containers.filter(isWaiting);
  const running = model.containers.filter(row => row.instances.length);
  const oldest = waiting.reduce((before, row) => Math.min(before, row.since || before), now());
  const { total, wasted } = cost(model.instances);
  const vms = [...tally(model.instances, row => row.category)].map(([name, number]) => `${number} ${CALLED[name]}`);
  return {
    health: healthOf(model.health),
    waiting: [waiting.length.toLocaleString('en'), waiting.length ? `oldest ${duration((now() - oldest) / 1000)}` : ''],
    running: [running.length.toLocaleString('en'), ceiling ? `of ${ceiling.toLocaleString('en')} at most` : ''],
    vms: [
      model.instances.length.toLocaleString('en'),
      notEnding ? `${count(notEnding, 'VM')} will not end` : vms.join(', '),
      notEnding ? 'bad' : '',
    ],
    cost: [
      money(total),
      wasted ? `${money(wasted)} does no work` : 'all of it works',
      wasted > total / 2 ? 'wait' : '',
    ],
    quota: quotaOf(model.creates.items),
    pauses: pausesOf(model.creates),
    feed: feedOf(model.health?.checks.event_feed, model.health),
    lock: lockOf(model.health),
  };
}

function healthOf(health) {
  if (!health) return ['…', ''];
  if (health.standby) return ['standby', 'another dispatcher works', 'wait'];
  return health.ready ? ['OK', ''] : ['trouble', health.errors.join('; '), 'bad'];
}

function quotaOf(types) {
  const of = state => types.filter(type => type.creates.state === state);
  const [limited, full] = [of('at_quota'), of('at_capacity')];
  const names = list => (list.length === types.length ? 'all types' : list.map(type => type.instance_type).join(', '));
  const isOurs = limited.some(type => type.creates.cause === 'max_instances');
  if (limited.length) return [isOurs ? 'MaxInstances' : 'reached', names(limited), 'wait'];
  if (full.length) return ['no capacity', names(full), 'wait'];
  return ['free', ''];
}

function pausesOf({ pauses, drained, items }) {
  const wanted = [
    ...pauses.map(pause => `${pause.scope}: ${pause.reason || `by ${pause.by || 'an operator'}`}`),
    ...drained.map(type => `${type.instance_type} drained`),
  ];
  if (wanted.length) return [String(wanted.length), wanted.join(', '), 'wait'];
  const held = items.filter(type => type.creates.state === 'paused');
  return held.length ? ['by itself', held[0].creates.because, 'wait'] : ['none', ''];
}

function feedOf(feed, health) {
  if (!health) return ['…', ''];
  if (!feed) return ['none', 'the queue is polled'];
  return feed.connected ? ['connected', ''] : ['lost', 'the queue is polled', 'wait'];
}

function lockOf(health) {
  if (!health) return ['…', ''];
  return health.checks.lock_held?.ok ? ['held', ''] : ['not held', '', 'wait'];
}
