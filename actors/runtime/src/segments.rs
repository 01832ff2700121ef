//! A queue in segments: what lies in a mailbox.
//!
//! One ring that doubles would copy everything it holds at each doubling, ask the allocator for
//! ever larger pieces in the middle of a burst, and give them back after it. Here a burst takes
//! small pieces one by one, and each goes back as soon as it is worked off.

use std::collections::VecDeque;

/// Places per segment. Lower asks the allocator more often; higher takes pieces that it does not
/// keep at hand (a segment of letters has 768 bytes, and it keeps up to a kilobyte).
const SEGMENT: usize = 32;

/// First in, first out.
pub(crate) struct Segments<T> {
    /// The head; all of it, if there are no more than fit in.
    first: VecDeque<T>,
    /// What follows. None of these is empty.
    more: VecDeque<VecDeque<T>>,
}

impl<T> Segments<T> {
    pub(crate) const fn new() -> Self {
        Self { first: VecDeque::new(), more: VecDeque::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_empty() && self.more.is_empty()
    }

    pub(crate) fn push_back(&mut self, value: T) {
        let last = self.more.back_mut().unwrap_or(&mut self.first);
        if last.len() < SEGMENT {
            return last.push_back(value);
        }
        let mut another = VecDeque::with_capacity(SEGMENT);
        another.push_back(value);
        self.more.push_back(another);
    }

    pub(crate) fn front(&self) -> Option<&T> {
        self.first.front().or_else(|| self.more.front()?.front())
    }

    pub(crate) fn pop_front(&mut self) -> Option<T> {
        if let Some(value) = self.first.pop_front() {
            return Some(value);
        }
        self.first = self.more.pop_front()?;
        self.first.pop_front()
    }

    /// Gives back what an empty queue does not need, but for so many places.
    #[inline]
    pub(crate) fn shrink_to(&mut self, places: usize) {
        if self.first.capacity() > places {
            self.first.shrink_to(places);
        }
        if self.more.capacity() > 0 {
            self.more.shrink_to(0);
        }
    }
}

impl<T> IntoIterator for Segments<T> {
    type Item = T;
    type IntoIter = std::iter::Chain<
        std::collections::vec_deque::IntoIter<T>,
        std::iter::Flatten<std::collections::vec_deque::IntoIter<VecDeque<T>>>,
    >;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.more.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_first_comes_out_first_over_all_segments() {
        const N: usize = 10 * SEGMENT + 3;
        let mut queue = Segments::new();
        let (mut next_in, mut next_out) = (0, 0);
        // Three in, two out, so that heads and tails fall anywhere in a segment.
        while next_in < N {
            for _ in 0..3 {
                queue.push_back(next_in);
                next_in += 1;
            }
            for _ in 0..2 {
                assert_eq!(queue.front(), Some(&next_out));
                assert_eq!(queue.pop_front(), Some(next_out));
                next_out += 1;
            }
        }
        assert!(!queue.is_empty());
        assert!(queue.into_iter().eq(next_out..next_in));
    }

    #[test]
    fn a_burst_gives_its_memory_back() {
        let mut queue = Segments::new();
        (0..1000).for_each(|n| queue.push_back(n));
        while queue.pop_front().is_some() {}
        assert!(queue.is_empty() && queue.front().is_none());
        assert!(queue.first.capacity() <= SEGMENT, "worked off piece by piece");
        queue.shrink_to(16);
        assert_eq!((queue.first.capacity() <= 16, queue.more.capacity()), (true, 0));
    }
}
