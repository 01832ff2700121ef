//! What has been written to a file and not yet flushed.

use std::collections::BTreeMap;

/// Pages in which unflushed writes are kept: what the kernel would hold.
pub(super) const PAGE_BYTES: u64 = 4096;

/// What a disk writes at once: a torn page is whole in every sector.
pub(super) const SECTOR_BYTES: usize = 512;

pub(super) type Page = Box<[u8; PAGE_BYTES as usize]>;

/// Unflushed pages over a flushed file.
#[derive(Debug, Default)]
pub(super) struct DirtyPages {
    pages: BTreeMap<u64, Page>,
}

impl DirtyPages {
    /// Writes; `load` gives the flushed content of a page.
    pub(super) fn write<E>(
        &mut self,
        offset: u64,
        bytes: &[u8],
        mut load: impl FnMut(u64) -> Result<Page, E>,
    ) -> Result<(), E> {
        for (number, in_page, range) in spans(offset, bytes.len()) {
            let page = match self.pages.entry(number) {
                std::collections::btree_map::Entry::Occupied(page) => page.into_mut(),
                std::collections::btree_map::Entry::Vacant(free) => free.insert(load(number)?),
            };
            let n_bytes = range.len();
            page[in_page..in_page + n_bytes].copy_from_slice(&bytes[range]);
        }
        Ok(())
    }

    /// Reads; `load` gives the flushed content of a page.
    pub(super) fn read<E>(
        &self,
        offset: u64,
        out: &mut [u8],
        mut load: impl FnMut(u64) -> Result<Page, E>,
    ) -> Result<(), E> {
        for (number, in_page, range) in spans(offset, out.len()) {
            let n_bytes = range.len();
            let piece = in_page..in_page + n_bytes;
            match self.pages.get(&number) {
                Some(page) => out[range].copy_from_slice(&page[piece]),
                None => out[range].copy_from_slice(&load(number)?[piece]),
            }
        }
        Ok(())
    }

    /// Forgets what lies beyond `len`, and blanks the rest of the page in which it ends.
    pub(super) fn cut(&mut self, len: u64) {
        let whole = len / PAGE_BYTES;
        let rest = (len % PAGE_BYTES) as usize;
        self.pages.retain(|number, _| *number < whole || (*number == whole && rest > 0));
        if let Some(page) = self.pages.get_mut(&whole) {
            page[rest..].fill(0);
        }
    }

    /// Takes all pages, in order.
    pub(super) fn take(&mut self) -> BTreeMap<u64, Page> {
        std::mem::take(&mut self.pages)
    }
}

/// Cuts a range of a file at page borders: page, offset in it, range of the buffer.
fn spans(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done >= len {
            return None;
        }
        let at = offset + done as u64;
        let in_page = (at % PAGE_BYTES) as usize;
        let n_bytes = (PAGE_BYTES as usize - in_page).min(len - done);
        let range = done..done + n_bytes;
        done += n_bytes;
        Some((at / PAGE_BYTES, in_page, range))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blank(_number: u64) -> Result<Page, ()> {
        Ok(Box::new([0; PAGE_BYTES as usize]))
    }

    #[test]
    fn a_write_across_pages_is_read_back_whole() {
        let mut dirty = DirtyPages::default();
        let bytes: Vec<u8> = (0..9000_u32).map(|i| i as u8).collect();
        dirty.write(4000, &bytes, blank).expect("writes");
        let mut out = vec![0; 9000];
        dirty.read(4000, &mut out, blank).expect("reads");
        assert_eq!(out, bytes);
    }

    #[test]
    fn cutting_blanks_what_lies_beyond() {
        let mut dirty = DirtyPages::default();
        dirty.write(0, &[7; 10_000], blank).expect("writes");
        dirty.cut(5000);
        let mut out = vec![1; 10_000];
        dirty.read(0, &mut out, blank).expect("reads");
        assert!(out[..5000].iter().all(|b| *b == 7) && out[5000..].iter().all(|b| *b == 0));
    }
}
