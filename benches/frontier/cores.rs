//! Processors and priorities. Load generator and upstream share all processors but the last, which rerankd has for
//! itself.

use std::process::Command as Blocking;

use tokio::process::Command;

/// Priorities of Linux's real-time class: rerankd comes before all other jobs, and the load generator before rerankd.
const PRIORITY_OF_SIDECAR: &str = "1";
const PRIORITY_OF_RIG: &str = "2";

/// The division of the processors.
pub(crate) struct Cores {
    /// `None` if there is only one, or no `taskset`.
    of_sidecar: Option<usize>,
    is_real_time: bool,
}

impl Cores {
    /// Moves this process to its processors, and into the real-time class if that is wanted.
    pub(crate) fn divide(is_real_time: bool) -> Self {
        let process = std::process::id().to_string();
        if is_real_time {
            let raised = Blocking::new("chrt").args(["-a", "-r", "-p", PRIORITY_OF_RIG, &process]).output();
            assert!(raised.is_ok_and(|output| output.status.success()), "`--real-time` needs `chrt` and root");
        }
        let last = std::thread::available_parallelism().map_or(1, usize::from) - 1;
        if last == 0 {
            return Self { of_sidecar: None, is_real_time };
        }
        let moved = Blocking::new("taskset").args(["-a", "-c", "-p", &format!("0-{}", last - 1), &process]).output();
        let is_moved = moved.is_ok_and(|output| output.status.success());
        Self { of_sidecar: is_moved.then_some(last), is_real_time }
    }

    /// The command that runs rerankd on its processor.
    pub(crate) fn command(&self) -> Command {
        let mut words = Vec::new();
        if self.is_real_time {
            words.extend(["chrt", "-r", PRIORITY_OF_SIDECAR].map(str::to_owned));
        }
        if let Some(core) = self.of_sidecar {
            words.extend(["taskset".to_owned(), "-c".to_owned(), core.to_string()]);
        }
        words.push(std::env::var("RERANKD_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_rerankd").to_owned()));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command
    }

    /// Returns true if rerankd has a processor of its own.
    pub(crate) fn are_divided(&self) -> bool {
        self.of_sidecar.is_some()
    }
}
