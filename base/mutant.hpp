// Planted bugs, to measure whether the simulations would find one. `TROUPE_MUTANT(name)` is false
// in every build but the one that links the mutants' own copies of the folders.
#pragma once

#ifdef TROUPE_MUTANTS
namespace troupe {
// True when this mutant has been switched on (tests/mutants).
bool mutant_is_on(const char* name);
} // namespace troupe
#define TROUPE_MUTANT(name) ::troupe::mutant_is_on(#name)
#else
#define TROUPE_MUTANT(name) false
#endif
