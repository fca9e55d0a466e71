//! Measures one core on PBKDF2-HMAC-SHA256: Python's hashlib, the pbkdf2 crate, and our kernel with one to four
//! passwords at a time. All take turns in every round; every hash is compared with hashlib's.
//!
//! `cargo bench --bench pbkdf2 -- [--iterations N] [--rounds N] [--python PATH] [--json]`
//!
//! Ends with 1 if the kernel takes three times as long as the crate, or longer than hashlib: then AVX has come into it
//! (see `sha_ni.rs`). Built for `target-cpu=native` the crate can fall into the same trap; hashlib cannot.

use std::error::Error;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use drf_authtoken::django::auth::hashers::{
    Algorithm, Bounds, Cost, Defaults, Hashers, LANES, LaneTask, Outcome, Password, Work, advance,
};

type Fallible<T> = Result<T, Box<dyn Error>>;

const PASSWORD: &str = "correct horse battery staple";

/// Reads "salt iterations" a line, and answers with nanoseconds and the key in base64.
const HASHLIB: &str = "
import base64, hashlib, ssl, sys, time
print(sys.version.split()[0], ssl.OPENSSL_VERSION, flush=True)
for line in sys.stdin:
    salt, iterations = line.split()
    began = time.perf_counter_ns()
    key = hashlib.pbkdf2_hmac('sha256', sys.argv[1].encode(), salt.encode(), int(iterations))
    took = time.perf_counter_ns() - began
    print(took, base64.b64encode(key).decode(), flush=True)
";

struct Hashlib {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Hashlib {
    fn start(python: &str) -> Fallible<(Self, String)> {
        let mut child = Command::new(python)
            .args(["-c", HASHLIB, PASSWORD])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let to = child.stdin.take().ok_or("no stdin")?;
        let from = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        let mut hashlib = Self { child, to, from };
        let version = hashlib.line()?;
        Ok((hashlib, version))
    }

    fn line(&mut self) -> Fallible<String> {
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    fn run(&mut self, salt: &str, iterations: u32) -> Fallible<(Duration, String)> {
        writeln!(self.to, "{salt} {iterations}")?;
        self.to.flush()?;
        let line = self.line()?;
        let (took, key) = line.split_once(' ').ok_or("hashlib did not answer")?;
        Ok((Duration::from_nanos(took.parse()?), key.to_owned()))
    }
}

impl Drop for Hashlib {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is measured: its name, the passwords at a time, and a time for each round.
struct Contender {
    name: String,
    lanes: u32,
    rounds: Vec<Duration>,
}

impl Contender {
    fn new(name: String, lanes: u32) -> Self {
        Self { name, lanes, rounds: Vec::new() }
    }

    /// Nanoseconds a compression in each round; two compressions make an iteration.
    fn nanoseconds(&self, iterations: u32) -> Vec<f64> {
        let compressions = 2.0 * f64::from(iterations) * f64::from(self.lanes);
        self.rounds.iter().map(|time| time.as_secs_f64() * 1e9 / compressions).collect()
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The median of the ratios within the rounds: a neighbour who comes and goes meets both.
fn ratio(of: &[f64], to: &[f64]) -> f64 {
    median(of.iter().zip(to).map(|(of, to)| of / to).collect())
}

/// New hashes in so many lanes, begun; `None` where there is no kernel.
fn tasks(hashers: &Hashers, lanes: u32) -> Fallible<Option<Vec<LaneTask>>> {
    let password = Password::from(PASSWORD.to_owned());
    let mut tasks = Vec::new();
    for _ in 0..lanes {
        match hashers.plan_make(getrandom::fill)?.work {
            Work::Lane(work) => tasks.push(work.start(&password)),
            Work::Blocking(_) => return Ok(None),
        }
    }
    Ok(Some(tasks))
}

struct Options {
    iterations: u32,
    rounds: usize,
    python: String,
    json: bool,
}

impl Options {
    fn read() -> Fallible<Self> {
        let mut options =
            Self { iterations: 100_000, rounds: 41, python: "python3".to_owned(), json: false };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} wants a value"));
            match argument.as_str() {
                "--iterations" => options.iterations = value()?.parse()?,
                "--rounds" => options.rounds = value()?.parse()?,
                "--python" => options.python = value()?,
                "--json" => options.json = true,
                // Cargo's own.
                "--bench" => {}
                _ => return Err(format!("unknown argument {argument}").into()),
            }
        }
        Ok(options)
    }
}

fn hashers(iterations: u32) -> Fallible<Hashers> {
    let mut defaults = Defaults::of_django((6, 1)).ok_or("no such Django")?;
    defaults.iterations = iterations;
    let cost = Cost { memory_bytes: 0, time: Duration::ZERO };
    let bounds = Bounds { iterations, cost };
    Ok(Hashers::new(Algorithm::Pbkdf2Sha256, Vec::new(), defaults, bounds))
}

/// One round of all contenders; a wrong hash is an error.
fn round(hashlib: &mut Hashlib, contenders: &mut [Contender], iterations: u32) -> Fallible<()> {
    let hashers = hashers(iterations)?;
    for contender in contenders {
        let time = match (contender.lanes, contender.name.as_str()) {
            (_, "hashlib") => hashlib.run("abcdefghijklmnopqrstuv", iterations)?.0,
            (_, "pbkdf2 crate") => crate_round(hashlib, iterations)?,
            (lanes, _) => kernel_round(hashlib, &hashers, lanes)?,
        };
        contender.rounds.push(time);
    }
    Ok(())
}

fn crate_round(hashlib: &mut Hashlib, iterations: u32) -> Fallible<Duration> {
    let salt = "abcdefghijklmnopqrstuv";
    let began = Instant::now();
    let key = black_box(pbkdf2::pbkdf2_hmac_array::<sha2::Sha256, 32>(
        black_box(PASSWORD.as_bytes()),
        salt.as_bytes(),
        iterations,
    ));
    let time = began.elapsed();
    check(&STANDARD.encode(key), &hashlib.run(salt, iterations)?.1)?;
    Ok(time)
}

fn kernel_round(hashlib: &mut Hashlib, hashers: &Hashers, lanes: u32) -> Fallible<Duration> {
    let mut tasks = tasks(hashers, lanes)?.ok_or("the kernel has gone")?;
    let began = Instant::now();
    advance(tasks.iter_mut(), u32::MAX);
    let time = began.elapsed();
    for task in &mut tasks {
        let Some(Outcome::Made(encoded)) = task.settle() else { return Err("no hash".into()) };
        let mut fields = encoded.as_str().splitn(4, '$').skip(1);
        let mut field = || fields.next().ok_or("a field is missing");
        let (iterations, salt, hash) = (field()?.parse()?, field()?, field()?);
        check(hash, &hashlib.run(salt, iterations)?.1)?;
    }
    Ok(time)
}

fn check(ours: &str, theirs: &str) -> Fallible<()> {
    if ours == theirs { Ok(()) } else { Err(format!("{ours} is not hashlib's {theirs}").into()) }
}

fn main() -> Fallible<ExitCode> {
    let Options { iterations, rounds, python, json } = Options::read()?;
    let (mut hashlib, version) = Hashlib::start(&python)?;
    let mut contenders =
        vec![Contender::new("hashlib".to_owned(), 1), Contender::new("pbkdf2 crate".to_owned(), 1)];
    if tasks(&hashers(2)?, 1)?.is_some() {
        let all = (1..).take(LANES);
        contenders.extend(all.map(|lanes| Contender::new(format!("kernel, {lanes}"), lanes)));
    }
    for _ in 0..rounds {
        round(&mut hashlib, &mut contenders, iterations)?;
    }
    let times: Vec<Vec<f64>> = contenders.iter().map(|each| each.nanoseconds(iterations)).collect();
    let [first, twin, kernels @ ..] = times.as_slice() else { return Err("no contenders".into()) };
    if json {
        let rows = contenders.iter().zip(&times).map(|(contender, times)| {
            serde_json::json!({
                "name": contender.name,
                "lanes": contender.lanes,
                "ns_per_compression": median(times.clone()),
                "time_of_hashlib": ratio(times, first),
                "throughput_of_hashlib": ratio(first, times),
            })
        });
        let rows: Vec<_> = rows.collect();
        let report = serde_json::json!({
            "python": version, "iterations": iterations, "rounds": rounds, "rows": rows,
        });
        println!("{report:#}");
    } else {
        println!("Python {version}; {iterations} iterations, median of {rounds} rounds\n");
        println!("| | ns/compression | throughput of hashlib | time of a hash |");
        println!("|---|---|---|---|");
        for (contender, times) in contenders.iter().zip(&times) {
            // Lanes share the core: a hash takes as long as all of them.
            let alone = ratio(times, first) * f64::from(contender.lanes);
            let (time, faster) = (median(times.clone()), ratio(first, times));
            println!("| {} | {time:.1} | {faster:.2} | {alone:.2} |", contender.name);
        }
    }
    if kernels.is_empty() {
        eprintln!("this processor has no SHA extensions that the kernel knows");
    }
    let slow = kernels.iter().any(|kernel| ratio(kernel, twin) > 3.0 || ratio(kernel, first) > 1.0);
    if slow {
        eprintln!(
            "the kernel is slower than it can be; was this built with AVX or target-cpu=native?"
        );
    }
    Ok(ExitCode::from(u8::from(slow)))
}
