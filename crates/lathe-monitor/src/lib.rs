//! Drift as arithmetic: profiles, windows, distances, tests, verdicts, diagnoses. Pure: nothing here reads a
//! clock, a file or a database, so the same inputs always give the same verdict.
