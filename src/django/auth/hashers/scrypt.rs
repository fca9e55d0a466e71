//! `django.contrib.auth.hashers.ScryptPasswordHasher`: the text `scrypt$N$salt$r$p$hash`, written and read.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use scrypt::Params;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::base::{Cost, PasswordHasher, Unhashable, decimal, strip_algorithm};
use super::passwords::{EncodedPassword, Password};

/// `dklen`.
const HASH_LENGTH: usize = 64;
/// What OpenSSL allows when `maxmem` is zero, as in Django. What needs more fails there.
const MAX_MEMORY: u64 = 32 * 1024 * 1024;
/// One of the `N * r * p` steps, each of 128 bytes filled and 128 bytes read, in nanoseconds.
const STEP_TIME: u64 = 400;

/// `ScryptPasswordHasher` and the attributes that a subclass may set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ScryptPasswordHasher {
    /// N.
    pub(super) work_factor: u32,
    /// r.
    pub(super) block_size: u32,
    /// p.
    pub(super) parallelism: u32,
}

impl ScryptPasswordHasher {
    /// The default of a Django release, by (major, minor): `parallelism` was 1 before 5.1.
    pub(super) const fn of_django((major, minor): (u8, u8)) -> Self {
        let parallelism = if major < 5 || (major == 5 && minor < 1) { 1 } else { 5 };
        Self { work_factor: 1 << 14, block_size: 8, parallelism }
    }

    /// The checks of OpenSSL's `EVP_PBE_scrypt`.
    fn params(self) -> Option<Params> {
        let Self { work_factor, block_size, parallelism } = self;
        let too_many = block_size < 2 && work_factor >= 1 << 16;
        if work_factor < 2 || !work_factor.is_power_of_two() || too_many {
            return None;
        }
        // Zeroes are refused by the crate. The memory is looked at first, for the crate multiplies without a check.
        self.memory_bytes().filter(|bytes| *bytes <= MAX_MEMORY)?;
        Params::new(u8::try_from(work_factor.trailing_zeros()).ok()?, block_size, parallelism).ok()
    }

    /// As OpenSSL counts it.
    fn memory_bytes(self) -> Option<u64> {
        let blocks = u64::from(self.work_factor) + 2 + u64::from(self.parallelism);
        blocks.checked_mul(128 * u64::from(self.block_size))
    }
}

impl PasswordHasher for ScryptPasswordHasher {
    fn encode(&self, password: &Password, salt: &str) -> Result<EncodedPassword, Unhashable> {
        let params = self.params().ok_or(Unhashable::Corrupt)?;
        #[cfg(test)]
        super::tests::count_cost(self.default_cost());
        let mut hash = Zeroizing::new([0; HASH_LENGTH]);
        scrypt::scrypt(password.as_bytes(), salt.as_bytes(), &params, &mut *hash)
            .map_err(|_| Unhashable::Corrupt)?;
        let hash = Zeroizing::new(STANDARD.encode(*hash));
        let Self { work_factor, block_size, parallelism } = self;
        let text = format!("scrypt${work_factor}${salt}${block_size}${parallelism}${}", *hash);
        Ok(EncodedPassword::from(text))
    }

    /// The whole text is made again and compared.
    fn verify(&self, password: &Password, encoded: &str) -> Result<bool, Unhashable> {
        let (stored, salt) = decode(encoded).ok_or(Unhashable::Corrupt)?;
        let again = stored.encode(password, salt)?;
        Ok(again.as_str().as_bytes().ct_eq(encoded.as_bytes()).into())
    }

    /// A short salt is no reason here.
    fn must_update(&self, encoded: &str) -> bool {
        decode(encoded).is_some_and(|(stored, _salt)| stored != *self)
    }

    fn cost(&self, encoded: &str) -> Option<Cost> {
        decode(encoded).map(|(stored, _salt)| stored.default_cost())
    }

    fn default_cost(&self) -> Cost {
        let steps = u64::from(self.work_factor)
            .saturating_mul(u64::from(self.block_size))
            .saturating_mul(u64::from(self.parallelism));
        let time = Duration::from_nanos(steps.saturating_mul(STEP_TIME));
        Cost { memory_bytes: self.memory_bytes().unwrap_or(u64::MAX), time }
    }
}

/// The parameters and the salt, if OpenSSL would run them.
fn decode(encoded: &str) -> Option<(ScryptPasswordHasher, &str)> {
    let mut fields = strip_algorithm(encoded, "scrypt")?.split('$');
    let (work_factor, salt) = (decimal(fields.next()?)?, fields.next()?);
    let (block_size, parallelism) = (decimal(fields.next()?)?, decimal(fields.next()?)?);
    let _hash = fields.next()?;
    if fields.next().is_some() || salt.is_empty() {
        return None;
    }
    let stored = ScryptPasswordHasher { work_factor, block_size, parallelism };
    stored.params().map(|_| (stored, salt))
}

#[cfg(test)]
mod tests {
    use super::super::base::testing::{
        SALT, UNICODE, assert_no_panic, assert_round_trip, password, verify,
    };
    use super::*;

    const CHEAP: ScryptPasswordHasher =
        ScryptPasswordHasher { work_factor: 16, block_size: 8, parallelism: 1 };
    const SECRET: &str = "scrypt$16$abcdefghijklmnopqrstuv$8$1$TiyaeXLh2tvKATp1sZPfxrKyIZRerx2\
        Fa1eogszdwX6DlsS/TiqTAm3lb0SVtjCJC4nBlx2N6lP2kLL9APpExg==";
    const EMPTY: &str = "scrypt$16$abcdefghijklmnopqrstuv$8$1$Jgpu3gYVAYDj8AA/JjoI/siwnM3oHaGc3\
        EpHRptZhDPV9wz8Ivsc9dclYICN1N50D2W5K8vrtqarmprEdZVmfA==";
    const PASSWORD: &str = "scrypt$16$abcdefghijklmnopqrstuv$8$1$9DjldhU2LGV96s+XTdAlM6RMJxzIFL\
        ySs3HVASYX9/o9TYVKQ/VFmcNSHhS2GMpDNFzDmD6Yd9gqBkgETQMJeg==";
    const OTHER: &str = "scrypt$64$süß$2$3$RvSdx1IJZrZbnvC6wDyypHHptq2sHvQx6Y4salUA0CCt9BfbdNAYC\
        nnGySjxkpk2I7c/YFE2HK04WiZo0SCG4A==";

    /// With the salt `s` and no right hash.
    fn row(work_factor: u32, block_size: u32, parallelism: u32) -> String {
        format!("scrypt${work_factor}$s${block_size}${parallelism}$hash")
    }

    #[test]
    fn hashes_made_by_django_are_verified_and_made_again() {
        for (text, encoded) in [("secret", SECRET), ("", EMPTY), (UNICODE, PASSWORD)] {
            assert_eq!(verify(&CHEAP, text, encoded), Some(true), "{text:?}");
            assert_eq!(verify(&CHEAP, "wrong", encoded), Some(false), "{text:?}");
            assert_eq!(CHEAP.encode(&password(text), SALT).unwrap().as_str(), encoded);
        }
    }

    #[test]
    fn other_parameters_are_read_and_outdated() {
        assert_eq!(verify(&CHEAP, "secret", OTHER), Some(true));
        assert!(CHEAP.must_update(OTHER));
        assert!(!CHEAP.must_update(&row(16, 8, 1)));
        for (n, r, p) in [(32, 8, 1), (16, 9, 1), (16, 8, 2)] {
            assert!(CHEAP.must_update(&row(n, r, p)));
        }
    }

    #[test]
    fn a_new_hash_is_right_and_not_outdated() {
        assert_round_trip(&CHEAP);
    }

    #[test]
    fn parallelism_follows_the_django_release() {
        let of = |version| ScryptPasswordHasher::of_django(version);
        assert_eq!(
            of((6, 1)),
            ScryptPasswordHasher { work_factor: 16384, block_size: 8, parallelism: 5 }
        );
        assert_eq!(of((5, 1)), of((6, 1)));
        assert_eq!(of((5, 0)), ScryptPasswordHasher { parallelism: 1, ..of((6, 1)) });
        assert_eq!(of((4, 2)), of((5, 0)));
    }

    #[test]
    fn what_openssl_refuses_is_corrupt() {
        for (n, r, p) in [
            (0, 8, 1),
            (1, 8, 1),
            (3, 8, 1),
            (2, 0, 1),
            (2, 1, 0),
            (1 << 15, 8, 1),
            (1 << 14, 16, 1),
            (1 << 16, 1, 1),
            (1 << 30, 8, 1),
            (2, 1, 262_144),
            (2, u32::MAX, u32::MAX),
        ] {
            assert_eq!(CHEAP.cost(&row(n, r, p)), None, "{n} {r} {p}");
        }
        for (n, r, p) in [(1 << 14, 15, 1), (1 << 15, 1, 1), (2, 1, 262_140)] {
            assert!(CHEAP.cost(&row(n, r, p)).is_some(), "{n} {r} {p}");
        }
    }

    #[test]
    fn texts_that_would_be_printed_otherwise_are_corrupt() {
        for (good, bad) in [
            ("$16$", "$016$"),
            ("$16$", "$+16$"),
            ("$16$", "$1_6$"),
            ("$16$", "$$"),
            ("$16$", "$4294967296$"),
            ("$8$", "$8$8$"),
            ("$8$", "$"),
            (SALT, ""),
            ("==", "==$"),
        ] {
            let encoded = SECRET.replacen(good, bad, 1);
            assert_eq!(verify(&CHEAP, "secret", &encoded), None, "{encoded}");
        }
        assert_eq!(verify(&CHEAP, "secret", &SECRET.replace("==", "")), Some(false));
    }

    #[test]
    fn the_cost_of_a_hostile_row_is_known_before() {
        // Little memory, and half an hour.
        let cost = CHEAP.cost(&row(1 << 15, 1, 200_000)).unwrap();
        assert!(cost.memory_bytes < 32 << 20);
        assert!(cost.time > Duration::from_mins(10));
        let default = ScryptPasswordHasher::of_django((6, 1)).default_cost();
        assert!(default.time < Duration::from_secs(1));
        assert_eq!(default.memory_bytes, 128 * 8 * (16384 + 2 + 5));
    }

    #[test]
    fn damaged_texts_never_panic() {
        assert_no_panic(&CHEAP, SECRET);
    }
}
