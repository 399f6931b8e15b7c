// The executors whose bits must agree: every supported instruction set, with several numbers of
// threads.
#pragma once

#include "tests/unit/compute/support.hpp"

#include <cstdio>

namespace troupe::compute::test {

class kernels_test : public ::testing::Test {
protected:
  struct contender {
    std::string name;
    std::unique_ptr<executor> device;
  };

  static void SetUpTestSuite() {
    contenders_ = new std::vector<contender>; // GoogleTest's pattern: lives as long as the suite
    for (const auto set :
         {instruction_set::reference, instruction_set::avx2, instruction_set::avx512}) {
      if (!supported(set)) {
        std::printf("not compared, this processor lacks it: %s\n",
                    std::string(to_string(set)).c_str());
        continue;
      }
      for (const uint32_t threads : {1u, 2u, 3u, 5u}) {
        if (set == instruction_set::reference && threads > 1) continue; // computes alone anyway
        contenders_->push_back({text(to_string(set), " ", threads), make_executor(threads, set)});
      }
    }
  }
  static void TearDownTestSuite() {
    delete contenders_;
    contenders_ = nullptr;
  }

  // work(kernels, y) writes y, which starts as a copy of `start`; all contenders must give the same
  // bits and leave what is outside of the rows alone. Returns the reference's result.
  template <class Work>
  static matrix all_agree(const matrix& start, Work work) {
    matrix expected = start;
    for (const contender& c : *contenders_) {
      matrix y = start;
      run(*c.device, [&](kernels& k) { work(k, y); });
      EXPECT_TRUE(y.frame_intact()) << c.name;
      if (&c == &contenders_->front()) {
        expected = y;
      } else {
        EXPECT_TRUE(same_bits(expected, y)) << c.name;
      }
    }
    return expected;
  }

  // The widest kernels with several threads, for properties that need no comparison of sets.
  static executor& widest() { return *contenders_->back().device; }
  static executor& plain() { return *contenders_->front().device; }

private:
  static inline std::vector<contender>* contenders_ = nullptr;
};

} // namespace troupe::compute::test
