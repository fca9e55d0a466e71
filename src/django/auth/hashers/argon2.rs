//! `django.contrib.auth.hashers.Argon2PasswordHasher`: argon2id is written; argon2i and argon2d are read, too.

use std::time::Duration;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::base::{Cost, PasswordHasher, SALT_LENGTH, Unhashable, decimal, strip_algorithm};
use super::passwords::{EncodedPassword, Password};

/// `argon2.DEFAULT_HASH_LENGTH` of argon2-cffi.
const HASH_LENGTH: usize = 32;
/// One block in one pass, in nanoseconds. The lanes of a hash run one after the other here, not on threads of their
/// own as in Python: threads are the hashing pool's to give.
const BLOCK_TIME: u64 = 1200;

/// `Argon2PasswordHasher` and the attributes that a subclass may set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Argon2PasswordHasher {
    pub(super) time_cost: u32,
    /// In blocks of 1024 bytes.
    pub(super) memory_cost: u32,
    pub(super) parallelism: u32,
}

/// `decode`.
struct Decoded {
    argon2: Argon2<'static>,
    algorithm: Algorithm,
    version: Version,
    salt: Vec<u8>,
    hash: Zeroizing<Vec<u8>>,
}

impl Argon2PasswordHasher {
    /// The same in all releases since 3.2.
    pub(super) const DEFAULT: Self = Self { time_cost: 2, memory_cost: 102_400, parallelism: 8 };
}

impl PasswordHasher for Argon2PasswordHasher {
    fn encode(&self, password: &Password, salt: &str) -> Result<EncodedPassword, Unhashable> {
        let Self { time_cost, memory_cost, parallelism } = *self;
        let params = Params::new(memory_cost, time_cost, parallelism, None)
            .map_err(|_| Unhashable::Corrupt)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hash = derive(&argon2, password, salt.as_bytes(), HASH_LENGTH)?;
        let salt = STANDARD_NO_PAD.encode(salt);
        let hash = Zeroizing::new(STANDARD_NO_PAD.encode(&*hash));
        let params = format!("m={memory_cost},t={time_cost},p={parallelism}");
        Ok(EncodedPassword::from(format!("argon2$argon2id$v=19${params}${salt}${}", *hash)))
    }

    /// Only the hash is compared, as `argon2_verify` of the reference library does.
    fn verify(&self, password: &Password, encoded: &str) -> Result<bool, Unhashable> {
        let decoded = decode(encoded).ok_or(Unhashable::Corrupt)?;
        let again = derive(&decoded.argon2, password, &decoded.salt, decoded.hash.len())?;
        Ok(again.ct_eq(&decoded.hash).into())
    }

    fn must_update(&self, encoded: &str) -> bool {
        decode(encoded).is_some_and(|decoded| {
            let params = decoded.argon2.params();
            decoded.algorithm != Algorithm::Argon2id
                || decoded.version != Version::V0x13
                || decoded.hash.len() != HASH_LENGTH
                || params.t_cost() != self.time_cost
                || params.m_cost() != self.memory_cost
                || params.p_cost() != self.parallelism
                // Django counts the salt's bytes as letters.
                || decoded.salt.len() < SALT_LENGTH
        })
    }

    fn cost(&self, encoded: &str) -> Option<Cost> {
        let decoded = decode(encoded)?;
        let params = decoded.argon2.params();
        Some(cost(params.m_cost(), params.t_cost()))
    }

    fn default_cost(&self) -> Cost {
        cost(self.memory_cost, self.time_cost)
    }
}

/// `argon2$argon2id$v=19$m=102400,t=2,p=8$salt$hash`, read as strictly as the reference library's `decode_string`.
/// `None` is what it refuses, and versions that are not Argon2's: it would run these, but nobody writes them.
fn decode(encoded: &str) -> Option<Decoded> {
    let mut fields = strip_algorithm(encoded, "argon2")?.split('$').peekable();
    let algorithm = fields.next()?.parse().ok()?;
    // The first version wrote no number, and argon2-cffi still reads it.
    let version = match fields.next_if(|field| field.starts_with("v=")) {
        Some("v=19") => Version::V0x13,
        Some("v=16") | None => Version::V0x10,
        Some(_) => return None,
    };
    let params = decode_params(fields.next()?)?;
    let (salt, hash) = (fields.next()?, fields.next()?);
    if fields.next().is_some() {
        return None;
    }
    let salt = STANDARD_NO_PAD.decode(salt).ok()?;
    let hash = Zeroizing::new(STANDARD_NO_PAD.decode(hash).ok()?);
    if salt.len() < argon2::MIN_SALT_LEN || hash.len() < Params::MIN_OUTPUT_LEN {
        return None;
    }
    let argon2 = Argon2::new(algorithm, version, params);
    Some(Decoded { argon2, algorithm, version, salt, hash })
}

/// `m=102400,t=2,p=8`, in this order.
fn decode_params(field: &str) -> Option<Params> {
    let mut pairs = field.split(',');
    let memory_cost = decimal(pairs.next()?.strip_prefix("m=")?)?;
    let time_cost = decimal(pairs.next()?.strip_prefix("t=")?)?;
    let parallelism = decimal(pairs.next()?.strip_prefix("p=")?)?;
    if pairs.next().is_some() {
        return None;
    }
    Params::new(memory_cost, time_cost, parallelism, None).ok()
}

/// The hash. Memory that is not there is an error, not the end of the process.
fn derive(
    argon2: &Argon2<'_>,
    password: &Password,
    salt: &[u8],
    length: usize,
) -> Result<Zeroizing<Vec<u8>>, Unhashable> {
    #[cfg(test)]
    super::tests::count_cost(cost(argon2.params().m_cost(), argon2.params().t_cost()));
    let blocks = argon2.params().block_count();
    let mut memory = Vec::new();
    memory.try_reserve_exact(blocks).map_err(|_| Unhashable::OutOfMemory)?;
    memory.resize(blocks, Block::new());
    let mut hash = Zeroizing::new(vec![0; length]);
    let (password, out) = (password.as_bytes(), hash.as_mut_slice());
    let done = argon2.hash_password_into_with_memory(password, salt, out, memory.as_mut_slice());
    // The reference library wipes its memory, too.
    memory.iter_mut().zeroize();
    done.map_err(|_| Unhashable::Corrupt)?;
    Ok(hash)
}

fn cost(memory_cost: u32, time_cost: u32) -> Cost {
    let (blocks, passes) = (u64::from(memory_cost), u64::from(time_cost));
    let nanoseconds = blocks.saturating_mul(passes).saturating_mul(BLOCK_TIME);
    Cost { memory_bytes: blocks * 1024, time: Duration::from_nanos(nanoseconds) }
}

#[cfg(test)]
mod tests {
    use super::super::base::testing::{
        SALT, UNICODE, assert_no_panic, assert_round_trip, password, verify,
    };
    use super::*;

    const CHEAP: Argon2PasswordHasher =
        Argon2PasswordHasher { time_cost: 1, memory_cost: 64, parallelism: 2 };
    const PREFIX: &str = "argon2$argon2id$v=19$m=64,t=1,p=2$YWJjZGVmZ2hpamtsbW5vcHFyc3R1dg";
    const SECRET: &str = "hhVumXLtCaXPY2o9C1n5sFq4PuhrhkqzMRH/MeBmNFk";
    const ARGON2I: &str = "argon2$argon2i$v=19$m=32,t=3,p=2$YWJjZGVmZ2hpamtsbW5vcHFyc3R1dg$\
        zzpJT1f4tuxnLwnFqSHOva/5sk7oPKDt7ubCaYkPlcI";
    const ARGON2D: &str = "argon2$argon2d$v=19$m=16,t=1,p=1$c2FsdHNhbHQ$JxsDzLBILVeDMWC8Of8KYA";
    const VERSION_16: &str = "argon2$argon2id$v=16$m=16,t=2,p=1$YWJjZGVmZ2hpamtsbW5vcHFyc3R1dg$\
        gdUftdMmshw6eBo9V7ToHBtI2M1KS2wPuFQa1nScq1Q";

    fn secret() -> String {
        format!("{PREFIX}${SECRET}")
    }

    #[test]
    fn hashes_made_by_django_are_verified_and_made_again() {
        for (text, hash) in [
            ("secret", SECRET),
            ("", "glsC+cQpYEygu9SDw72/O/O9myhPlt2a/8yByFj3RwU"),
            (UNICODE, "/2VI/1uzriAhcJZZprnkR7hFAGVB9ufgxELLNBJrMmk"),
        ] {
            let encoded = format!("{PREFIX}${hash}");
            assert_eq!(verify(&CHEAP, text, &encoded), Some(true), "{text:?}");
            assert_eq!(verify(&CHEAP, "wrong", &encoded), Some(false), "{text:?}");
            let again = CHEAP.encode(&password(text), SALT).unwrap();
            assert_eq!(again.as_str(), encoded);
        }
    }

    #[test]
    fn argon2i_argon2d_and_the_first_version_are_read() {
        let without_version = VERSION_16.replace("$v=16", "");
        for encoded in [ARGON2I, ARGON2D, VERSION_16, &without_version] {
            assert_eq!(verify(&CHEAP, "secret", encoded), Some(true), "{encoded}");
            assert_eq!(verify(&CHEAP, "", encoded), Some(false), "{encoded}");
            assert!(CHEAP.must_update(encoded), "{encoded}");
        }
    }

    #[test]
    fn a_new_hash_is_right_and_not_outdated() {
        assert_round_trip(&CHEAP);
    }

    #[test]
    fn any_other_parameter_is_outdated() {
        assert!(!CHEAP.must_update(&secret()));
        for (now, before) in [
            ("argon2id", "argon2i"),
            ("m=64", "m=65"),
            ("t=1", "t=2"),
            ("p=2", "p=1"),
            ("v=19", "v=16"),
            // 21 letters of salt; 33 bytes of hash.
            ("c3R1dg", "c3R1"),
            ("NFk", "NFkA"),
        ] {
            assert!(CHEAP.must_update(&secret().replace(now, before)), "{before}");
        }
    }

    #[test]
    fn what_the_reference_library_refuses_is_corrupt() {
        for (good, bad) in [
            ("argon2id", "argon2x"),
            ("argon2id", "ARGON2ID"),
            ("v=19", "v=18"),
            ("v=19", "v=019"),
            ("v=19$", "v=19$v=19$"),
            ("m=64,t=1", "t=1,m=64"),
            ("m=64", "m=064"),
            ("m=64", "m=15"),
            ("m=64", "m=4294967296"),
            ("t=1", "t=0"),
            ("p=2", "p=0"),
            ("p=2", "p=2,k=1"),
            ("p=2", "p=16777216"),
            ("YWJjZGVmZ2hpamtsbW5vcHFyc3R1dg", "YWJjZGVmZw"),
            ("YWJjZGVmZ2hpamtsbW5vcHFyc3R1dg", "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dg=="),
            ("NFk", "NFl"),
            ("NFk", "NFk="),
            ("NFk", "NFk$"),
            (SECRET, "AAAA"),
        ] {
            let encoded = secret().replacen(good, bad, 1);
            assert_eq!(verify(&CHEAP, "secret", &encoded), None, "{encoded}");
        }
    }

    #[test]
    fn the_cost_of_a_hostile_row_is_known_before() {
        let row = secret().replace("m=64,t=1", "m=4194304,t=4294967295");
        let cost = CHEAP.cost(&row).unwrap();
        assert_eq!(cost.memory_bytes, 4 << 30);
        assert!(cost.time > Duration::from_hours(1));
        let default = Argon2PasswordHasher::DEFAULT.default_cost();
        assert_eq!(default.memory_bytes, 100 << 20);
        assert!(default.time < Duration::from_secs(1));
    }

    #[test]
    fn damaged_texts_never_panic() {
        assert_no_panic(&CHEAP, &secret());
    }
}
