use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lathe_data::Repo;
use lathe_types::executions::{StageExecution, StageOutcome};
use lathe_types::project::StageSpec;

use super::custody::{Custody, Held};
use super::locks::Locks;
use super::one_stage::{Commands, Finished, OneStage};
use super::{ExecuteOptions, OnFailure, Report, StageEvent, Turn};
use crate::plan::made_by;
use crate::{Error, Project, Result};

/// Events that wait to be shown; stages that print faster wait too.
const EVENTS_WAITING_MAX: usize = 1024;
/// When nothing happens for so long, there is time to write the lock.
const QUIET: Duration = Duration::from_millis(20);
/// How often it is told what is being executed.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// All that is to be done.
#[derive(Clone, Copy)]
pub struct Work<'a> {
    /// The repository.
    pub repo: &'a Repo,
    /// Its pipelines.
    pub project: &'a Project,
    /// How.
    pub options: &'a ExecuteOptions,
    /// The stages in the order in which one after the other would be executed.
    pub order: &'a [usize],
    /// Limits of stages.
    pub limits: &'a HashMap<usize, StageSpec>,
    /// The repository's lock.
    pub custody: &'a Custody,
    /// What executes commands.
    pub commands: Commands<'a>,
}

enum News {
    Event(StageEvent),
    Finished(usize, Box<Finished>),
}

/// Executes the stages, as many at once as the options allow, each after those that it needs.
pub fn run(work: &Work<'_>, show: &mut dyn FnMut(StageEvent)) -> Result<Report> {
    // What happens to files does not tell which stage did it.
    let jobs = match work.options.trace {
        Some(_) => 1,
        None => work.options.jobs.clamp(1, work.order.len().max(1)),
    };
    let (turns, waiting) = sync_channel::<Turn>(jobs);
    let (news, heard) = sync_channel(EVENTS_WAITING_MAX);
    let waiting = Mutex::new(waiting);
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            let (news, waiting) = (news.clone(), &waiting);
            scope.spawn(move || worker(work, waiting, &news));
        }
        drop(news);
        let mut state = State::new(work, jobs, turns);
        let result = state.until_done(&heard, show);
        // Without turns the workers end; what they are at is heard first.
        let State { turns, .. } = state;
        drop(turns);
        while heard.recv().is_ok() {}
        result
    })
}

fn worker(work: &Work<'_>, waiting: &Mutex<Receiver<Turn>>, news: &SyncSender<News>) {
    loop {
        let turn = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(turn) = turn else {
            return;
        };
        let index = turn.index;
        let stage = OneStage {
            work,
            stage: &work.project.stages[index],
            limits: work.limits.get(&index),
            show: &mut |event| {
                let _ = news.send(News::Event(event));
            },
        };
        let finished = stage.take(turn);
        if news.send(News::Finished(index, Box::new(finished))).is_err() {
            return;
        }
    }
}

struct State<'a> {
    work: &'a Work<'a>,
    turns: SyncSender<Turn>,
    jobs: usize,
    locks: Locks<'a>,
    /// Nobody collects what was kept before the locks say what it is.
    unwritten: Vec<Held>,
    /// Position in the order by stage.
    positions: HashMap<usize, usize>,
    /// How many stages each waits for, by position.
    missing: Vec<usize>,
    /// Positions whose turn can come; the first goes first.
    ready: BTreeSet<usize>,
    running: BTreeMap<usize, Instant>,
    forced: Vec<bool>,
    skipped: Vec<bool>,
    done: Vec<Option<StageExecution>>,
    free: BTreeMap<String, u32>,
    failures: Vec<(String, Error)>,
    made: HashMap<usize, Vec<(String, String)>>,
    is_stopping: bool,
    /// All stages before this position are done with.
    settled: usize,
}

impl<'a> State<'a> {
    fn new(work: &'a Work<'a>, jobs: usize, turns: SyncSender<Turn>) -> Self {
        let count = work.order.len();
        let positions: HashMap<usize, usize> = work
            .order
            .iter()
            .enumerate()
            .map(|(at, index)| (*index, at))
            .collect();
        let mut state = Self {
            work,
            turns,
            jobs,
            locks: Locks::new(work.repo.root()),
            unwritten: Vec::new(),
            missing: vec![0; count],
            ready: BTreeSet::new(),
            running: BTreeMap::new(),
            forced: vec![false; count],
            skipped: vec![false; count],
            done: vec![None; count],
            free: work.options.resources.clone(),
            failures: Vec::new(),
            made: HashMap::new(),
            is_stopping: false,
            settled: 0,
            positions,
        };
        for (position, &index) in work.order.iter().enumerate() {
            state.missing[position] = state.needs(index).count();
            if state.missing[position] == 0 {
                state.ready.insert(position);
            }
        }
        state
    }

    /// Positions of the stages that a stage waits for.
    fn needs(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        let is_cut = self.work.project.stages[index].frozen;
        let needs: &[usize] = if is_cut {
            &[]
        } else {
            &self.work.project.graph.needs[index]
        };
        needs
            .iter()
            .filter_map(|needed| self.positions.get(needed).copied())
    }

    /// Positions of the stages that wait for a stage.
    fn needed_by(&self, index: usize) -> Vec<usize> {
        let stages = &self.work.project.stages;
        let followers = self.work.project.graph.needed_by[index].iter();
        let followers = followers.filter(|follower| !stages[**follower].frozen);
        followers
            .filter_map(|follower| self.positions.get(follower).copied())
            .collect()
    }

    fn until_done(&mut self, heard: &Receiver<News>, show: &mut dyn FnMut(StageEvent)) -> Result<Report> {
        let mut problem = None;
        let mut told_at = Instant::now();
        loop {
            if self.work.commands.interruption.came() && !self.is_stopping {
                self.is_stopping = true;
                self.fail_for_interruption();
            }
            if let Err(error) = self.hand_out() {
                self.is_stopping = true;
                problem = problem.or(Some(error));
            }
            if self.running.is_empty() {
                break;
            }
            match heard.recv_timeout(QUIET) {
                Ok(News::Event(event)) => show(event),
                Ok(News::Finished(index, finished)) => {
                    if let Err(error) = self.finish(index, *finished, show) {
                        self.is_stopping = true;
                        problem = problem.or(Some(error));
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(error) = self.write() {
                        self.is_stopping = true;
                        problem = problem.or(Some(error));
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if PROGRESS_EVERY < told_at.elapsed() {
                told_at = Instant::now();
                show(self.progress());
                // Commands that print without a pause may want to use the repository.
                if !self.unwritten.is_empty()
                    && let Err(error) = self.write()
                {
                    self.is_stopping = true;
                    problem = problem.or(Some(error));
                }
            }
        }
        self.locks.settle(usize::MAX);
        self.locks.write(self.work.repo, true)?;
        self.unwritten.clear();
        match problem {
            Some(error) => Err(error),
            None => Ok(self.report()),
        }
    }

    /// Writes the locks, and lets go of what is written down now.
    fn write(&mut self) -> Result<()> {
        self.locks.write(self.work.repo, false)?;
        self.unwritten.clear();
        Ok(())
    }

    /// An interruption that no command was there to notice.
    fn fail_for_interruption(&mut self) {
        if self.running.is_empty()
            && let Some(&position) = self.ready.first()
        {
            let stage = self.work.project.stages[self.work.order[position]].address();
            self.failures.push((stage.clone(), Error::Interrupted { stage }));
        }
    }

    fn progress(&self) -> StageEvent {
        let address = |position: usize| self.work.project.stages[self.work.order[position]].address();
        StageEvent::Progress {
            done: self.done.iter().flatten().count(),
            total: self.work.order.len(),
            running: self
                .running
                .iter()
                .map(|(position, since)| (address(*position), since.elapsed()))
                .collect(),
        }
    }

    /// Begins what can be begun.
    fn hand_out(&mut self) -> Result<()> {
        while !self.is_stopping && self.running.len() < self.jobs {
            let Some(position) = self.ready.iter().copied().find(|position| self.fits(*position)) else {
                return Ok(());
            };
            self.ready.remove(&position);
            if self.skipped[position] {
                self.release(position);
                continue;
            }
            let index = self.work.order[position];
            let stage = &self.work.project.stages[index];
            let locked = self.locks.of(stage)?.find(&stage.name)?;
            let mut made = HashMap::new();
            if self.work.options.allow_missing {
                for needed in self.work.project.graph.needs[index].iter() {
                    made.extend(self.made.get(needed).cloned().unwrap_or_default());
                }
            }
            let root = self.work.repo.root();
            let read: Vec<_> = stage.deps.iter().map(|dep| root.join(&dep.at)).collect();
            self.locks.keep_out_below(self.work.repo, &read)?;
            self.take_resources(position);
            self.running.insert(position, Instant::now());
            let turn = Turn {
                index,
                locked,
                forced: self.forced[position],
                made,
            };
            self.turns
                .send(turn)
                .expect("workers live as long as there are turns");
        }
        Ok(())
    }

    fn resources(&self, position: usize) -> impl Iterator<Item = (&'a String, u32)> + use<'a> {
        let limits = self.work.limits.get(&self.work.order[position]);
        limits
            .into_iter()
            .flat_map(|limits| limits.resources.iter().map(|(name, count)| (name, *count)))
    }

    fn fits(&self, position: usize) -> bool {
        self.resources(position)
            .all(|(name, asked)| asked <= self.free.get(name).copied().unwrap_or(0))
    }

    fn take_resources(&mut self, position: usize) {
        for (name, asked) in self.resources(position) {
            if let Some(free) = self.free.get_mut(name) {
                *free = free.saturating_sub(asked);
            }
        }
    }

    fn finish(&mut self, index: usize, finished: Finished, show: &mut dyn FnMut(StageEvent)) -> Result<()> {
        let position = self.positions[&index];
        let work = self.work;
        let stage = &work.project.stages[index];
        self.running.remove(&position);
        for (name, asked) in self.resources(position) {
            if let Some(free) = self.free.get_mut(name) {
                *free += asked;
            }
        }
        if let Some(entry) = &finished.entry {
            if work.options.allow_missing {
                self.made.insert(index, made_by(stage, Some(entry)));
            }
            self.locks.of(stage)?.set(&stage.name, entry, position);
            let outs = stage.outs.iter().filter(|out| out.cache);
            self.locks
                .keep_out_of_git(position, outs.map(|out| work.repo.root().join(&out.at)));
            self.unwritten.extend(finished.held);
            if self.locks.write_now_and_then(work.repo)? {
                self.unwritten.clear();
            }
        } else if work.options.allow_missing {
            let locked = self.locks.of(stage)?.find(&stage.name)?;
            self.made.insert(index, made_by(stage, locked.as_ref()));
        }
        let was_executed = finished.execution.outcome != StageOutcome::Unchanged;
        self.done[position] = Some(finished.execution);
        let settled = self
            .done
            .iter()
            .skip(self.settled)
            .take_while(|done| done.is_some());
        self.settled += settled.count();
        self.locks.settle(self.settled);
        if work.options.force_downstream && was_executed {
            for follower in self.needed_by(index) {
                self.forced[follower] = true;
            }
        }
        if let Some(error) = finished.failure {
            let interrupted = matches!(error, Error::Interrupted { .. });
            self.failures.push((stage.address(), error));
            match work.options.on_failure {
                OnFailure::Stop => self.is_stopping = true,
                _ if interrupted => self.is_stopping = true,
                OnFailure::KeepGoing => self.skip_followers(index, show),
                OnFailure::Ignore => {}
            }
        }
        self.release(position);
        Ok(())
    }

    fn skip_followers(&mut self, index: usize, show: &mut dyn FnMut(StageEvent)) {
        let failed = self.work.project.stages[index].address();
        let mut open = vec![index];
        while let Some(index) = open.pop() {
            for follower in self.needed_by(index) {
                if !std::mem::replace(&mut self.skipped[follower], true) {
                    let index = self.work.order[follower];
                    show(StageEvent::Skipped {
                        stage: self.work.project.stages[index].address(),
                        failed: failed.clone(),
                    });
                    open.push(index);
                }
            }
        }
    }

    /// Lets those go on that waited for the stage.
    fn release(&mut self, position: usize) {
        for follower in self.needed_by(self.work.order[position]) {
            self.missing[follower] -= 1;
            if self.missing[follower] == 0 {
                self.ready.insert(follower);
            }
        }
    }

    fn report(&mut self) -> Report {
        let stages = &self.work.project.stages;
        let skipped = self.done.iter().enumerate().filter(|(_, done)| done.is_none());
        let skipped = skipped.map(|(position, _)| stages[self.work.order[position]].address());
        Report {
            skipped: skipped.collect(),
            stages: self.done.drain(..).flatten().collect(),
            failures: std::mem::take(&mut self.failures),
        }
    }
}
