//! Sets of places, each searched for the first place with enough room.
//!
//! ```text
//!            most of both                    one shelf: a binary trie over the numbers of its places,
//!           ╱ differ at bit 3 ╲              path-compressed, so that every branch has two sides
//!      place 2            most of both
//!                        ╱ at bit 0 ╲        each node knows the most RAM and the most scratch below it
//!                   place 12    place 13
//! ```
//! "The most" is up to two rooms of which each place below has one at most. So places that lack RAM and places that
//! lack scratch are told apart, in whatever order they lie: with one room, the RAM of a place and the scratch of its
//! neighbour would promise both, and a search would visit them all.
//!
//! Putting and taking cost O(log places). So does a search, unless places of three kinds or more lie side by side,
//! none of which has what another lacks. All shelves of a round share one arena: places often move between shelves,
//! and a move needs no allocation.

use super::bins::PlaceId;
use crate::fit::Resources;

/// The free RAM and scratch, which can have any value; the other resources (see `Class`) have few values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Room {
    ram: u64,
    scratch: u64,
}

impl Room {
    pub(super) fn of(left: &Resources) -> Self {
        Self { ram: left.ram, scratch: left.scratch }
    }

    fn covers(self, wanted: Self) -> bool {
        self.ram >= wanted.ram && self.scratch >= wanted.scratch
    }

    fn most(self, other: Self) -> Self {
        Self { ram: self.ram.max(other.ram), scratch: self.scratch.max(other.scratch) }
    }

    /// How much a room promises: of two ways to sum rooms up, the one that promises less misleads fewer searches.
    fn promise(self) -> u128 {
        u128::from(self.ram) * u128::from(self.scratch)
    }
}

/// Each place has at most one of these two rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Most([Room; 2]);

impl Most {
    fn of(room: Room) -> Self {
        Self([room; 2])
    }

    fn covers(self, wanted: Room) -> bool {
        self.0.into_iter().any(|room| room.covers(wanted))
    }

    fn and(self, other: Self) -> Self {
        let ([a, b], [c, d]) = (self.0, other.0);
        // Most often one side has all that the other has.
        if other.has_all_of(self) {
            return other;
        }
        if self.has_all_of(other) {
            return self;
        }
        let pairs = [(a.most(b), c.most(d)), (a.most(c), b.most(d)), (a.most(d), b.most(c))];
        let triples = [(a, b, c, d), (b, a, c, d), (c, a, b, d), (d, a, b, c)];
        let triples = triples.map(|(alone, x, y, z)| (alone, x.most(y).most(z)));
        let least =
            pairs.into_iter().chain(triples).min_by_key(|(x, y)| x.promise().saturating_add(y.promise()));
        let (x, y) = least.unwrap_or_default();
        Self([x, y])
    }

    fn has_all_of(self, other: Self) -> bool {
        other.0.into_iter().all(|room| self.covers(room))
    }
}

/// A node, by its position in the arena.
type Link = u32;

/// One set of places: the root of its trie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Shelf(Option<Link>);

impl Shelf {
    pub(super) fn is_empty(self) -> bool {
        self.0.is_none()
    }
}

#[derive(Debug, Clone, Copy)]
struct Node {
    /// The most that a place below this node has.
    most: Most,
    /// The place of a leaf. In a branch it is a place that was below it: all places below share the bits above
    /// `bit`.
    place: u32,
    /// The mask of the bit in which the two sides differ; 0 = a leaf.
    bit: u32,
    /// The side with that bit clear comes first.
    sides: [Link; 2],
}

impl Node {
    fn is_place(&self) -> bool {
        self.bit == 0
    }

    fn side_of(&self, place: u32) -> usize {
        usize::from(place & self.bit != 0)
    }
}

/// The nodes of all shelves.
#[derive(Debug, Default)]
pub(super) struct Shelves {
    nodes: Vec<Node>,
    unused: Vec<Link>,
}

impl Shelves {
    /// Puts a place on a shelf. The place must not be on that shelf already.
    pub(super) fn put(&mut self, shelf: &mut Shelf, place: PlaceId, room: Room) {
        let leaf = Node { most: Most::of(room), place, bit: 0, sides: [0; 2] };
        shelf.0 = Some(match shelf.0 {
            Some(root) => self.put_below(root, leaf),
            None => self.new_node(leaf),
        });
    }

    /// Takes a place off its shelf.
    pub(super) fn take(&mut self, shelf: &mut Shelf, place: PlaceId) {
        shelf.0 = shelf.0.and_then(|root| self.take_below(root, place));
    }

    /// The first `wanted` place with this much room.
    pub(super) fn first(
        &self,
        shelf: Shelf,
        need: Room,
        wanted: &impl Fn(PlaceId) -> bool,
    ) -> Option<PlaceId> {
        self.first_below(shelf.0?, need, wanted)
    }

    fn first_below(&self, at: Link, need: Room, wanted: &impl Fn(PlaceId) -> bool) -> Option<PlaceId> {
        let node = &self.nodes[at as usize];
        if !node.most.covers(need) {
            None
        } else if node.is_place() {
            Some(node.place).filter(|place| wanted(*place))
        } else {
            node.sides.iter().find_map(|side| self.first_below(*side, need, wanted))
        }
    }

    /// Puts a leaf below `at` and returns the new root.
    fn put_below(&mut self, at: Link, leaf: Node) -> Link {
        let node = self.nodes[at as usize];
        let differing = highest_bit(node.place ^ leaf.place);
        let most = node.most.and(leaf.most);
        if differing > node.bit {
            let new = self.new_node(leaf);
            let mut branch = Node { most, place: leaf.place, bit: differing, sides: [at; 2] };
            branch.sides[branch.side_of(leaf.place)] = new;
            return self.new_node(branch);
        }
        let side = node.side_of(leaf.place);
        let below = self.put_below(node.sides[side], leaf);
        let node = &mut self.nodes[at as usize];
        (node.most, node.sides[side]) = (most, below);
        at
    }

    /// Takes a place from below `at` and returns the new root, if anything is left.
    fn take_below(&mut self, at: Link, place: u32) -> Option<Link> {
        let node = self.nodes[at as usize];
        if node.is_place() {
            self.unused.push(at);
            return None;
        }
        let side = node.side_of(place);
        let other = node.sides[1 - side];
        let Some(below) = self.take_below(node.sides[side], place) else {
            self.unused.push(at);
            return Some(other);
        };
        let most = self.nodes[below as usize].most.and(self.nodes[other as usize].most);
        let node = &mut self.nodes[at as usize];
        (node.most, node.sides[side]) = (most, below);
        Some(at)
    }

    fn new_node(&mut self, node: Node) -> Link {
        if let Some(at) = self.unused.pop() {
            self.nodes[at as usize] = node;
            return at;
        }
        self.nodes.push(node);
        Link::try_from(self.nodes.len() - 1).expect("fewer places than fit into memory")
    }
}

/// The highest bit that is set, as a mask; 0 if none is.
fn highest_bit(number: u32) -> u32 {
    number.checked_ilog2().map_or(0, |bit| 1 << bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(ram: u64, scratch: u64) -> Room {
        Room { ram, scratch }
    }

    /// How many nodes a search reads that finds nothing.
    fn visited(shelves: &Shelves, at: Link, need: Room) -> usize {
        let node = &shelves.nodes[at as usize];
        let below = match node.most.covers(need) && !node.is_place() {
            true => node.sides.iter().map(|side| visited(shelves, *side, need)).sum(),
            false => 0,
        };
        1 + below
    }

    #[test]
    fn a_search_among_places_that_lack_ram_or_scratch_reads_few_of_them() {
        let (mut shelves, mut shelf) = (Shelves::default(), Shelf::default());
        for place in 0..10_000_u32 {
            let some = u64::from(place % 7);
            let has_ram = place.wrapping_mul(2_654_435_761) & 64 == 0;
            let room = if has_ram { room(90 + some, some) } else { room(some, 90 + some) };
            shelves.put(&mut shelf, place, room);
        }
        let root = shelf.0.expect("it is full");
        assert_eq!(shelves.first(shelf, room(50, 50), &|_| true), None);
        assert!(visited(&shelves, root, room(50, 50)) < 50);
        assert!(shelves.first(shelf, room(96, 6), &|_| true).is_some());
    }

    #[test]
    fn what_is_summed_up_covers_each_room() {
        let rooms = [room(9, 1), room(1, 9), room(5, 5), room(7, 2), room(2, 8), room(0, 0)];
        for (one, other) in rooms.iter().flat_map(|one| rooms.map(|other| (*one, other))) {
            for (third, fourth) in rooms.iter().flat_map(|third| rooms.map(|fourth| (*third, fourth))) {
                let most = Most([one, other]).and(Most([third, fourth]));
                assert!([one, other, third, fourth].into_iter().all(|room| most.covers(room)));
            }
        }
    }
}
