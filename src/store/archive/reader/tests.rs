//! That what was written is read, and what is damaged is noticed and named.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::block::{Counts, Writer};
use super::*;

fn header() -> Header {
    let program = "cardkeep".into();
    Header { format: FORMAT, installation: [7; 16], made: 1, program, rows: 2 }
}

fn written(records: &[Vec<u8>]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), [9; 8], &header()).unwrap();
    records.iter().for_each(|record| writer.record(record).unwrap());
    let bytes = writer.bytes();
    let counts = Counts { contacts: records.len() as u64, ..Counts::default() };
    let out = writer.finish(counts).unwrap();
    assert!(bytes < out.len() as u64);
    out
}

#[derive(Default)]
struct Got {
    header: bool,
    records: Vec<Vec<u8>>,
    totals: Option<Totals>,
    gaps: Vec<Gap>,
}

fn read(bytes: &[u8], mode: Mode) -> Result<Got, ArchiveError> {
    let mut reader = Reader::new(bytes, mode);
    let mut got = Got::default();
    while let Some(piece) = reader.piece()? {
        match piece {
            Piece::Header(found) => got.header = found == header(),
            Piece::Records(records) => got.records.extend(records.iter().map(<[u8]>::to_vec)),
            Piece::Totals(totals) => got.totals = Some(totals),
            Piece::Gap(gap) => got.gaps.push(gap),
        }
    }
    assert_eq!(reader.bytes(), bytes.len() as u64);
    Ok(got)
}

/// Records enough for several blocks, one of them large.
fn several() -> Vec<Vec<u8>> {
    let mut records: Vec<_> = (0..400_u32).map(|n| n.to_be_bytes().repeat(200)).collect();
    records.insert(250, vec![5; 300_000]);
    records
}

fn starts(bytes: &[u8]) -> Vec<usize> {
    memchr::memmem::find_iter(bytes, &MAGIC).collect()
}

#[test]
fn blocks_gather_records_and_a_large_one_stands_alone() {
    let bytes = written(&several());
    let mut sizes = Vec::new();
    let mut reader = Reader::new(bytes.as_slice(), Mode::Strict);
    while let Some(piece) = reader.piece().unwrap() {
        if let Piece::Records(records) = piece {
            assert!(!records.is_empty());
            sizes.push((records.len(), records.iter().map(<[u8]>::len).max().unwrap()));
        }
    }
    assert!(sizes.contains(&(1, 300_000)));
    assert!(sizes.iter().any(|(count, _)| *count > 70));
    assert_eq!(sizes.len() + 2, starts(&bytes).len());
}

#[test]
fn what_is_lost_is_a_gap_and_the_rest_is_read() {
    let records = several();
    let mut bytes = written(&records);
    let starts = starts(&bytes);
    bytes[starts[2] + 1000] ^= 1;
    let error = read(&bytes, Mode::Strict).err().unwrap();
    let told = format!("the archive is damaged: block 2 at byte {}: its checksum is wrong", starts[2]);
    assert_eq!(error.to_string(), told);
    let got = read(&bytes, Mode::Partial).unwrap();
    let bytes_lost = starts[2] as u64..starts[3] as u64;
    assert_eq!(got.gaps, [Gap { bytes: bytes_lost, blocks: 2..3, what: Damage::Checksum }]);
    assert!(got.header && got.totals.unwrap().records == 401);
    assert!(got.records.len() > 250 && got.records.len() < 401);
    assert_eq!(got.records.last(), records.last());
}

#[test]
fn missing_repeated_and_foreign_blocks_are_noticed() {
    let bytes = written(&several());
    let at = starts(&bytes);
    let cut = [&bytes[..at[2]], &bytes[at[3]..]].concat();
    let what = |bytes: &[u8]| match read(bytes, Mode::Strict) {
        Err(ArchiveError::Damaged { what, .. }) => what,
        _ => panic!("no damage"),
    };
    assert_eq!(what(&cut), Damage::Number);
    let got = read(&cut, Mode::Partial).unwrap();
    assert_eq!(got.gaps[0].bytes, at[2] as u64..at[2] as u64);
    assert_eq!(got.gaps[0].blocks, 2..3);
    let twice = [&bytes[..at[3]], &bytes[at[2]..]].concat();
    assert_eq!(what(&twice), Damage::Number);
    assert_eq!(read(&twice, Mode::Partial).unwrap().records.len(), 401);
    let mut other = Writer::new(Vec::new(), [8; 8], &header()).unwrap();
    other.record(&[1; 70_000]).unwrap();
    let other = other.finish(Counts::default()).unwrap();
    let foreign = &other[starts(&other)[1]..starts(&other)[2]];
    let mixed = [&bytes[..at[1]], foreign, &bytes[at[2]..]].concat();
    assert_eq!(what(&mixed), Damage::Foreign);
    assert!(!read(&mixed, Mode::Partial).unwrap().records.contains(&vec![1; 70_000]));
    let after = [&bytes[..], b"x"].concat();
    assert_eq!(what(&after), Damage::Trailing);
    assert_eq!(read(&after, Mode::Partial).unwrap().gaps[0].what, Damage::Trailing);
}

#[test]
fn a_newer_format_and_other_files_are_told() {
    let newer = Header { format: FORMAT + 1, ..header() };
    let writer = Writer::new(Vec::new(), [9; 8], &newer).unwrap();
    let bytes = writer.finish(Counts::default()).unwrap();
    assert!(matches!(read(&bytes, Mode::Strict), Err(ArchiveError::TooNew { found: 2 })));
    assert!(matches!(read(&bytes, Mode::Partial), Err(ArchiveError::TooNew { found: 2 })));
    assert!(matches!(read(b"SQLite format 3", Mode::Strict), Err(ArchiveError::NotAnArchive)));
}

#[test]
fn blocks_made_up_within_one_another_end_the_search() {
    let head = Head { archive: [9; 8], number: 1, length: 1 << 20, kind: 2, checksum: [0; 16] };
    let mut fake = MAGIC.to_vec();
    fake.extend(head.archive);
    fake.extend(head.number.to_be_bytes());
    fake.extend(head.length.to_be_bytes());
    fake.extend([head.kind; 17]);
    let mut bytes = fake.repeat(4000);
    bytes.extend(vec![0; 2 << 20]);
    assert!(matches!(read(&bytes, Mode::Partial), Err(ArchiveError::Hopeless { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_written_is_read(records in vec(vec(any::<u8>(), 0..5000), 0..60)) {
        let bytes = written(&records);
        for mode in [Mode::Strict, Mode::Partial] {
            let got = read(&bytes, mode).unwrap();
            prop_assert!(got.header && got.gaps.is_empty());
            prop_assert_eq!(&got.records, &records);
            let totals = got.totals.unwrap();
            prop_assert_eq!(totals.counts.contacts, records.len() as u64);
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed(
        records in vec(vec(any::<u8>(), 0..50), 0..9), place: prop::sample::Index, bit in 0..8_u8,
    ) {
        let mut bytes = written(&records);
        let place = place.index(bytes.len());
        bytes[place] ^= 1_u8 << bit;
        prop_assert!(read(&bytes, Mode::Strict).is_err());
        let got = read(&bytes, Mode::Partial).unwrap();
        prop_assert!(!got.gaps.is_empty());
        prop_assert!(got.records.iter().all(|record| records.contains(record)));
    }

    #[test]
    fn every_missing_end_is_noticed(
        records in vec(vec(any::<u8>(), 0..50), 0..9), length: prop::sample::Index,
    ) {
        let mut bytes = written(&records);
        bytes.truncate(length.index(bytes.len()));
        prop_assert!(read(&bytes, Mode::Strict).is_err());
        prop_assert!(!read(&bytes, Mode::Partial).unwrap().gaps.is_empty());
    }

    #[test]
    fn any_bytes_are_read_without_harm(
        parts in vec(prop_oneof![
            vec(any::<u8>(), 0..60),
            Just(MAGIC.to_vec()),
            Just(written(&[vec![1, 2, 3]])),
            Just(written(&[vec![1, 2, 3]])[..150].to_vec()),
        ], 0..8),
    ) {
        let bytes = parts.concat();
        let _ = read(&bytes, Mode::Strict);
        prop_assert!(read(&bytes, Mode::Partial).is_ok());
    }
}
