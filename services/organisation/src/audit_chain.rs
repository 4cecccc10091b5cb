//! The chain of the history: each record holds the hash of the one before, so that no record can be
//! changed, removed, moved or put in between unnoticed. What it cannot show by itself is that records
//! are missing at the end, or that somebody wrote all of it anew: for that an operator notes its
//! [`Head`] down elsewhere, and compares later.
//!
//! Who checks the chain is outside of the service (`usher audit verify`) and works with what
//! `ExportAuditRecords` answers; that is why this is public, and knows nothing of the database.

use std::fmt;

use api::organisation::v1::AuditRecord;
use prost::Message as _;

/// A SHA-256.
pub type Hash = [u8; 32];

/// A place in the chain: a record's sequence, and its hash. Written `SEQUENCE:HASH`, the hash as 64
/// hexadecimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Counts from 1; 0 before the first record.
    pub sequence: i64,
    /// Zeros before the first record.
    pub hash: Hash,
}

/// Where a chain does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The first place that is wrong.
    pub sequence: i64,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a place in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The record is not there.
    Missing,
    /// It does not say what it said when it got its hash.
    Changed,
    /// It was not made for the record before it.
    Detached,
    /// It holds together, and yet it is not the record that was noted down.
    Rewritten,
}

/// The hash that belongs to a record: SHA-256 over its protobuf encoding, `hash` left out.
///
/// Encoding is deterministic here: fields in the order of their numbers, and no maps. Empty fields
/// are not encoded, so that fields which later versions add leave the hashes of earlier records as
/// they are; a record that has such a field is verified by a version that knows it.
#[must_use]
pub fn hash(record: &AuditRecord) -> Hash {
    let hashed = AuditRecord { hash: Vec::new(), ..record.clone() };
    kernel::sha256(&hashed.encode_to_vec())
}

/// Verifies a chain record by record, from the first; it keeps only the place that it has come to.
#[derive(Clone, Debug, Default)]
pub struct Verifier {
    head: Head,
    noted: Option<Head>,
}

impl Verifier {
    /// A verification that also wants to come by a place that was noted down earlier.
    #[must_use]
    pub fn expecting(noted: Head) -> Self {
        Self { head: Head::default(), noted: Some(noted) }
    }

    /// Takes the next record.
    pub fn next(&mut self, record: &AuditRecord) -> Result<(), Broken> {
        let sequence = self.head.sequence + 1;
        let broken = |fault| Err(Broken { sequence, fault });
        let hash = hash(record);
        if record.sequence != sequence {
            // A record whose place was changed is there, and has the hash of its true place.
            let moved = AuditRecord { sequence, ..record.clone() };
            let is_changed = record.hash == self::hash(&moved);
            return broken(if is_changed { Fault::Changed } else { Fault::Missing });
        }
        if record.hash != hash {
            return broken(Fault::Changed);
        }
        if record.previous_hash != self.head.hash {
            return broken(Fault::Detached);
        }
        self.head = Head { sequence, hash };
        if self.noted.is_some_and(|noted| noted.sequence == sequence && noted.hash != hash) {
            return broken(Fault::Rewritten);
        }
        Ok(())
    }

    /// The place that it has come to.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }

    /// Ends with the last record, whose place it answers.
    pub fn finish(self) -> Result<Head, Broken> {
        let noted = self.noted.map_or(0, |noted| noted.sequence);
        if noted > self.head.sequence {
            return Err(Broken { sequence: self.head.sequence + 1, fault: Fault::Missing });
        }
        Ok(self.head)
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sequence, hexadecimal(&self.hash))
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.fault {
            Fault::Missing => "is missing",
            Fault::Changed => "was changed after it got its hash",
            Fault::Detached => "does not continue the record before it",
            Fault::Rewritten => {
                "is not the one that was noted down: it or what is before it was written anew"
            }
        };
        write!(f, "record {} {what}", self.sequence)
    }
}

impl std::error::Error for Broken {}

impl std::str::FromStr for Head {
    type Err = kernel::Malformed;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: kernel::Malformed =
            kernel::Malformed("SEQUENCE:HASH, the hash as 64 hexadecimal digits");
        let (sequence, hash) = text.split_once(':').ok_or(EXPECTED)?;
        let sequence = sequence.parse().ok().filter(|it| *it >= 0).ok_or(EXPECTED)?;
        let hash = from_hexadecimal(hash).and_then(|hash| hash.try_into().ok());
        Ok(Self { sequence, hash: hash.ok_or(EXPECTED)? })
    }
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes from hexadecimal digits; nothing for any other text.
#[must_use]
pub fn from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let pairs = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    pairs.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).ok()).collect()
}

#[cfg(test)]
mod tests {
    use api::organisation::v1::ActorKind;

    use super::*;

    fn chain(length: i64) -> Vec<AuditRecord> {
        let mut previous_hash = vec![0; 32];
        let mut records = Vec::new();
        for sequence in 1..=length {
            let mut record = AuditRecord {
                sequence,
                id: format!("01890a5d-ac96-774b-bcce-b302099a{sequence:04}"),
                at: Some(prost_types::Timestamp { seconds: 1_767_268_800, nanos: 1_000 }),
                actor_id: "01890a5d-ac96-774b-bcce-b302099a8057".to_owned(),
                actor_kind: ActorKind::Person.into(),
                action: "members.create".to_owned(),
                details: vec!["roles=admin user".to_owned()],
                previous_hash,
                ..Default::default()
            };
            record.hash = hash(&record).to_vec();
            previous_hash = record.hash.clone();
            records.push(record);
        }
        records
    }

    fn verify(records: &[AuditRecord], noted: Option<Head>) -> Result<Head, (i64, Fault)> {
        let mut verifier = noted.map_or_else(Verifier::default, Verifier::expecting);
        let read = records.iter().try_for_each(|record| verifier.next(record));
        let end = read.and_then(|()| verifier.finish());
        end.map_err(|broken| (broken.sequence, broken.fault))
    }

    fn head_of(record: &AuditRecord) -> Head {
        Head { sequence: record.sequence, hash: record.hash.clone().try_into().unwrap() }
    }

    #[test]
    fn a_chain_holds_and_names_its_head() {
        let records = chain(9);
        assert_eq!(verify(&records, None), Ok(head_of(&records[8])));
        assert_eq!(verify(&[], None), Ok(Head::default()));
        assert_eq!(verify(&records, Some(head_of(&records[4]))), Ok(head_of(&records[8])));
    }

    /// What was hashed once is hashed the same for ever: an operator's note outlives our versions.
    #[test]
    fn the_hash_is_what_it_was() {
        let head = verify(&chain(2), None).unwrap();
        let noted = "2:e3db71c09b37cde58b2399aa55a259a711af5623968927a89a31465aa0421785";
        assert_eq!(head.to_string(), noted);
        assert_eq!(noted.parse(), Ok(head));
    }

    #[test]
    fn a_record_that_is_taken_out_is_missed() {
        for index in 0..8 {
            let mut records = chain(9);
            records.remove(index);
            let sequence = i64::try_from(index).unwrap() + 1;
            assert_eq!(verify(&records, None), Err((sequence, Fault::Missing)));
        }
    }

    #[test]
    fn a_record_that_moves_or_is_there_twice_is_noticed() {
        let mut records = chain(9);
        records.swap(3, 6);
        assert_eq!(verify(&records, None), Err((4, Fault::Missing)));
        let mut records = chain(9);
        records.insert(4, records[3].clone());
        assert_eq!(verify(&records, None), Err((5, Fault::Missing)));
        // With their places exchanged too, what they say does not match their hashes.
        let mut records = chain(9);
        records.swap(3, 6);
        (records[3].sequence, records[6].sequence) = (4, 7);
        assert_eq!(verify(&records, None), Err((4, Fault::Changed)));
    }

    #[test]
    fn a_record_with_a_new_hash_of_its_own_does_not_fit() {
        let mut records = chain(9);
        records[3].action = "members.remove".to_owned();
        records[3].hash = hash(&records[3]).to_vec();
        assert_eq!(verify(&records, None), Err((5, Fault::Detached)));
    }

    #[test]
    fn an_end_cut_off_and_a_whole_new_chain_show_against_what_was_noted() {
        let records = chain(9);
        let noted = head_of(&records[6]);
        assert_eq!(verify(&records[..5], Some(noted)), Err((6, Fault::Missing)));
        let mut other = noted;
        other.hash[0] ^= 1;
        assert_eq!(verify(&records, Some(other)), Err((7, Fault::Rewritten)));
    }

    #[test]
    fn what_is_no_head_is_refused() {
        let hash = "0".repeat(64);
        for bad in ["", "7", "7:", "-1:", &format!("x:{hash}"), &format!("7:{hash}0")] {
            assert!(bad.parse::<Head>().is_err(), "{bad}");
        }
        assert!(format!("-1:{hash}").parse::<Head>().is_err());
        assert!(format!("7:{}", "zz".repeat(32)).parse::<Head>().is_err());
    }
}
