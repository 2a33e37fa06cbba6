// One thing in detail, beside the lists: a container and why it waits, a VM, an event, or how the cluster is.

import { byId, make, say } from './dom.mjs';
import { containerBody } from './explain.mjs';
import { instanceBody } from './vm.mjs';
import { eventBody, statusBody } from './status.mjs';

// What has a name by which it can be opened.
const NAMED = ['container', 'instance'];
const TITLES = { container: 'Container', instance: 'VM', event: 'Event', status: 'The cluster' };

export class Detail {
  constructor(log, changed) {
    Object.assign(this, { log, changed, kind: '', subject: null, asked: 0 });
    byId('detail-close').addEventListener('click', () => this.close());
    // What has been confirmed may have taken the button away that asked for it.
    byId('order').addEventListener('close', () => byId('detail').open && this.keepFocus());
    addEventListener('hashchange', () => this.openNamed());
  }

  // Opens what the address names behind its `#`, so that a thing can be shown to somebody else.
  openNamed() {
    const named = new URLSearchParams(location.hash.slice(1));
    const kind = NAMED.find(name => named.get(name));
    if (kind && named.get(kind) !== this.subject) this.open(kind, named.get(kind));
  }

  open(kind, subject) {
    if (!byId('detail').open) this.opener = document.activeElement;
    Object.assign(this, { kind, subject, shown: '', answer: null });
    const name = NAMED.includes(kind) ? `#${new URLSearchParams({ [kind]: subject })}` : location.pathname;
    history.replaceState(null, '', name);
    say(byId('detail-title'), TITLES[kind]);
    byId('detail-body').replaceChildren(make('p', { class: 'muted' }, 'Asking …'));
    byId('detail-body').scrollTop = 0;
    document.body.classList.add('has-detail');
    if (!byId('detail').open) byId('detail').show();
    byId('detail-close').focus();
    return this.refresh();
  }

  close() {
    if (!byId('detail').open) return;
    byId('detail').close();
    document.body.classList.remove('has-detail');
    history.replaceState(null, '', location.pathname);
    Object.assign(this, { kind: '', subject: null });
    if (this.opener?.isConnected) this.opener.focus();
  }

  // Asks again for what is open. An answer that comes after another thing was opened is nobody's.
  async refresh() {
    if (!this.kind) return;
    const [kind, subject] = [this.kind, this.subject];
    this.asked += 1;
    const asked = this.asked;
    let body;
    try {
      body = await BODIES[kind](subject, this);
    } catch (error) {
      body = [make('p', { role: 'alert' }, `${kind === 'container' ? `${subject}: ` : ''}${error.message}.`)];
    }
    if (asked !== this.asked || kind !== this.kind || subject !== this.subject) return;
    this.put(make('div', {}, body));
  }

  // Shows it, unless it is the same or its reader is copying something out of it.
  put(body) {
    const place = byId('detail-body');
    const text = body.textContent;
    const isCopying = !getSelection().isCollapsed && place.contains(getSelection().anchorNode);
    if (text === this.shown || (this.shown && isCopying)) return;
    this.shown = text;
    const focused = place.contains(document.activeElement) ? document.activeElement.textContent : null;
    place.replaceChildren(body);
    if (focused === null) return;
    [...place.querySelectorAll('button')].find(it => it.textContent === focused)?.focus();
    this.keepFocus();
  }

  // The focus is not lost with the element that had it.
  keepFocus() {
    if (document.activeElement === document.body) byId('detail-body').focus();
  }

  link(kind, id, text = id) {
    return make('button', { class: 'link id', onclick: () => this.open(kind, id) }, text);
  }

  links(kind, ids, textOf = id => id) {
    return ids.length
      ? make(
          'span',
          { class: 'links' },
          ids.map(id => this.link(kind, id, textOf(id))),
        )
      : '';
  }
}

const BODIES = { container: containerBody, instance: instanceBody, event: eventBody, status: statusBody };
