//! `getpass.getuser`: the name of whoever runs the command.

/// From the environment, then from the user database; `None` for a user without a name, as in
/// some containers. The caller hands in how the environment is read.
pub(super) fn getuser(environment: impl Fn(&str) -> Option<String>) -> Option<String> {
    let variables = ["LOGNAME", "USER", "LNAME", "USERNAME"];
    let mut values = variables.into_iter().filter_map(environment);
    values
        .find(|name| !name.is_empty())
        .or_else(|| name_of(own_uid()?, &std::fs::read_to_string("/etc/passwd").ok()?))
}

#[cfg(unix)]
fn own_uid() -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").ok().map(|process| process.uid())
}

#[cfg(not(unix))]
fn own_uid() -> Option<u32> {
    None
}

/// The first field of the line whose third is `uid`.
fn name_of(uid: u32, passwd: &str) -> Option<String> {
    let of_line = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    };
    passwd.lines().find_map(of_line)
}

#[cfg(test)]
mod tests {
    use super::{getuser, name_of};

    #[test]
    fn the_environment_comes_first_in_pythons_order() {
        let env = |name: &str| match name {
            "LOGNAME" => Some(String::new()),
            "USER" => Some("bob".to_owned()),
            _ => Some("eve".to_owned()),
        };
        assert_eq!(getuser(env).as_deref(), Some("bob"));
    }

    #[test]
    fn the_user_database_is_read_by_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n# a comment\nbob:x:1000:1000::/:/bin/sh\n";
        assert_eq!(name_of(1000, passwd).as_deref(), Some("bob"));
        assert_eq!(name_of(1, passwd), None);
    }
}
