//! Every kernel against its twin, the pbkdf2 crate. (That one is compared with Python's hashlib by the benchmark, and
//! with Django's own hashes in the tests of the hashers.)

use super::lane::{Kernel, LANES, Lane, advance};
use super::{Derivation, Digest};
use crate::django::auth::hashers::Password;

/// Random numbers below a bound, for cases that nobody thought of. A failure prints its case.
fn random(bound: usize) -> usize {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    usize::try_from(u64::from_le_bytes(bytes) % u64::try_from(bound).unwrap()).unwrap()
}

/// Random letters of one to three bytes in UTF-8.
fn text(length: usize) -> String {
    (0..length).map(|_| ['a', 'Z', '$', '\0', 'é', '€'][random(6)]).collect()
}

#[derive(Debug)]
struct Case {
    password: String,
    salt: String,
    iterations: u32,
}

impl Case {
    /// Lengths on both sides of a block, or two.
    fn random() -> Self {
        let lengths = [0, 1, 8, 31, 55, 56, 63, 64, 65, 127, 128, 129, 1000];
        Self {
            password: "a".repeat(lengths[random(lengths.len())]) + &text(random(3)),
            salt: text(1 + random(150)),
            iterations: u32::try_from(1 + random(300)).unwrap(),
        }
    }

    fn derivation(&self) -> Derivation {
        Derivation::new(Digest::Sha256, &self.salt, self.iterations)
    }

    fn lane(&self, kernel: Kernel) -> Lane {
        let derivation = self.derivation();
        let key = derivation.key(&Password::from(self.password.clone()));
        derivation.lane(kernel, &key, self.iterations)
    }

    /// The crate gets the password as it is, however long.
    fn twin(&self) -> String {
        let hash =
            self.derivation().derive_without_kernel(self.password.as_bytes(), self.iterations);
        hash.to_string()
    }
}

fn check_all(cases: &[Case], slice: u32) {
    let Some(kernel) = Kernel::detect() else { return };
    let mut lanes: Vec<Lane> = cases.iter().map(|case| case.lane(kernel)).collect();
    loop {
        // As in the pool: what is done leaves, the others move together.
        let mut open: Vec<&mut Lane> = lanes.iter_mut().filter(|lane| !lane.is_done()).collect();
        if open.is_empty() {
            break;
        }
        assert!(advance(&mut open, slice) > 0);
    }
    for (case, lane) in cases.iter().zip(&lanes) {
        assert_eq!(*lane.hash(), case.twin(), "{case:?} of {cases:?}, slice {slice}");
    }
}

#[test]
fn every_number_of_lanes_equals_the_twin() {
    for lanes in 1..=LANES {
        for _ in 0..40 {
            let cases: Vec<Case> = (0..lanes).map(|_| Case::random()).collect();
            check_all(&cases, u32::MAX);
        }
    }
}

#[test]
fn a_hash_in_slices_equals_the_twin() {
    for slice in [1, 2, 7, 100] {
        let cases: Vec<Case> = (0..LANES).map(|_| Case::random()).collect();
        check_all(&cases, slice);
    }
}

#[test]
fn more_hashes_than_lanes_equal_their_twins() {
    let cases: Vec<Case> = (0..2 * LANES + 3).map(|_| Case::random()).collect();
    check_all(&cases, 50);
}

#[test]
fn one_iteration_is_done_at_once() {
    let Some(kernel) = Kernel::detect() else { return };
    let case = Case { iterations: 1, ..Case::random() };
    let lane = case.lane(kernel);
    assert!(lane.is_done());
    assert_eq!(*lane.hash(), case.twin());
}

#[test]
fn the_states_of_a_lane_do_not_mix() {
    let Some(kernel) = Kernel::detect() else { return };
    let cases: Vec<Case> = (0..LANES).map(|_| Case { iterations: 200, ..Case::random() }).collect();
    for stranger in 0..LANES {
        let mut lanes: Vec<Lane> = cases.iter().map(|case| case.lane(kernel)).collect();
        // Another password in one place changes the hash of that place only.
        lanes[stranger] = Case { iterations: 200, ..Case::random() }.lane(kernel);
        advance(&mut lanes.iter_mut().collect::<Vec<_>>(), u32::MAX);
        for (at, (case, lane)) in cases.iter().zip(&lanes).enumerate() {
            assert_eq!(*lane.hash() == case.twin(), at != stranger, "{case:?}");
        }
    }
}

#[test]
fn a_long_password_is_its_digest() {
    for digest in [Digest::Sha256, Digest::Sha1] {
        for length in [63, 64, 65, 200] {
            let password = "p".repeat(length);
            let derivation = Derivation::new(digest, "salt", 3);
            let key = derivation.key(&Password::from(password.clone()));
            assert!(key.len() <= 64);
            let twin = derivation.derive_without_kernel(password.as_bytes(), 3);
            assert_eq!(derivation.derive(&key, 3), twin);
        }
    }
}
