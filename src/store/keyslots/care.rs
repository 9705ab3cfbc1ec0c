//! The long works on the file: another master key, a look at every copy, making bad ones whole.
//! They go extent by extent and let others write between.

use std::thread::yield_now;

use super::layout::{Header, epoch_after};
use super::table::Table;
use super::wrap::{Filled, Wrapper, check_value};
use super::writer::{Writer, read_header};
use super::{KeySlots, KeySlotsError, MasterKey, Side, Slot, Verdict};

impl KeySlots {
    /// Wraps every key with a new master key, in place, while everything else goes on. After a
    /// crash, open the file with both master keys and call it again. When it has succeeded, only
    /// the new master key opens the file; until then, keep both.
    pub fn rotate(&self, new: &MasterKey) -> Result<(), KeySlotsError> {
        let check = check_value(new, &self.installation);
        loop {
            let mut writer = self.writer();
            let header = writer.header.clone();
            if header.next.is_none() {
                if header.current.check == check {
                    return finish(&mut writer);
                }
                let wrapper = Wrapper::new(new, self.installation, epoch_after(header.current.epoch))?;
                let next = Some(wrapper.naming);
                writer.wrappers.retain(|known| known.naming == header.current);
                writer.wrappers.push(wrapper);
                writer.write_header(Header { next, ..header })?;
            } else if !writer.settled() {
                writer.write_header(header)?;
            }
            drop(writer);
            self.rewrap()?;
        }
    }

    /// Takes the rotation that the header names to its end.
    fn rewrap(&self) -> Result<(), KeySlotsError> {
        let mut index = 0;
        loop {
            let mut writer = self.writer();
            let header = writer.header.clone();
            let Some(next) = header.next else {
                return Ok(());
            };
            if index >= self.table().extents() {
                writer.write_header(Header { current: next, next: None, ..header })?;
                return finish(&mut writer);
            }
            let filled = self.table().filled(index);
            let wrapped = writer.wrapped(&filled)?;
            // While the first copy is written, the second must be able to stand in for it.
            let [_, second] = writer.sides();
            let bad = writer.bad(&filled, index, second);
            overwrite(&mut writer, second, &bad)?;
            writer.overwrite_both(&wrapped)?;
            index += 1;
            drop(writer);
            yield_now();
        }
    }

    /// Reads the whole file again and compares it with the keys in memory.
    pub fn verify(&self, live: &[Slot]) -> Result<Verdict, KeySlotsError> {
        let mut verdict = Verdict::default();
        let mut index = 0;
        loop {
            let writer = self.writer();
            if index >= self.table().extents() {
                let (_, _, whole) = read_header(writer.medium.as_ref())?;
                verdict.header_damaged = !whole;
                break;
            }
            let filled = self.table().filled(index);
            let mut bad: Vec<u32> = Vec::new();
            for side in [Side::A, Side::B] {
                bad.extend(writer.bad(&filled, index, side).iter().map(|bad| bad.slot));
            }
            bad.sort_unstable();
            bad.dedup();
            verdict.damaged += bad.len();
            index += 1;
            drop(writer);
            yield_now();
        }
        let table = self.table();
        verdict.slots = table.slots();
        verdict.lost = live.iter().filter(|slot| table.is_lost(**slot)).count();
        Ok(verdict)
    }

    /// Writes anew every copy that is not as it should be, and says how many those were.
    pub fn heal(&self) -> Result<usize, KeySlotsError> {
        let mut healed = 0;
        let mut index = 0;
        loop {
            let mut writer = self.writer();
            if index >= self.table().extents() {
                let header = writer.header.clone();
                let (_, _, whole) = read_header(writer.medium.as_ref())?;
                if !(whole && writer.settled()) {
                    writer.write_header(header)?;
                    healed += 1;
                }
                return Ok(healed);
            }
            let filled = self.table().filled(index);
            healed += heal_extent(&mut writer, &filled, index)?;
            index += 1;
            drop(writer);
            yield_now();
        }
    }
}

/// Sees that both copies of the header say that the rotation is over, and forgets the old master
/// key.
fn finish(writer: &mut Writer) -> Result<(), KeySlotsError> {
    if !writer.settled() {
        let header = writer.header.clone();
        writer.write_header(header)?;
    }
    let current = writer.header.current;
    writer.wrappers.retain(|wrapper| wrapper.naming == current);
    Ok(())
}

/// Makes whole what opening found: the header, if it is not as given or a copy is bad, and the
/// extents that are hurt.
pub(super) fn heal(
    writer: &mut Writer,
    table: &Table,
    header: Header,
    hurt: &[usize],
) -> Result<(), KeySlotsError> {
    if !writer.settled() || writer.header != header {
        writer.write_header(header)?;
    }
    for index in hurt {
        heal_extent(writer, &table.filled(*index), *index)?;
    }
    Ok(())
}

fn heal_extent(writer: &mut Writer, filled: &[Filled], index: usize) -> Result<usize, KeySlotsError> {
    let mut healed = 0;
    for side in writer.sides() {
        let bad = writer.bad(filled, index, side);
        overwrite(writer, side, &bad)?;
        healed += bad.len();
    }
    Ok(healed)
}

fn overwrite(writer: &mut Writer, side: Side, filled: &[Filled]) -> Result<(), KeySlotsError> {
    if filled.is_empty() {
        return Ok(());
    }
    let wrapped = writer.wrapped(filled)?;
    writer.overwrite(side, &wrapped)
}
