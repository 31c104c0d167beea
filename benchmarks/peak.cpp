// Fused multiply-adds a second, float32: the ceiling every other number is measured against.
//
// Sixteen independent chains of the widest vectors the compiler knows for this machine, in registers
// only, one copy on each thread. Reads a number of seconds a line, writes GFLOP/s a line, so that the
// ceiling is taken in turns with the peers.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#if defined(__AVX512F__)
constexpr int kBytes = 64;
#elif defined(__AVX__)
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif

typedef float Vector __attribute__((vector_size(kBytes)));
constexpr int kLanes = kBytes / static_cast<int>(sizeof(float));
constexpr int kChains = kBytes == 64 ? 16 : 12;  // 12 and two operands fit in 16 registers
constexpr long kSteps = 20000;

// One slice of work; returns something that depends on every chain, or it would be left out.
static float slice(float factor, float term) {
  Vector chain[kChains];
  for (int k = 0; k < kChains; ++k) chain[k] = Vector{} + (0.5f + 0.01f * k);
  const Vector a = Vector{} + factor, b = Vector{} + term;
  for (long step = 0; step < kSteps; ++step) {
#pragma GCC unroll 16
    for (int k = 0; k < kChains; ++k) chain[k] = chain[k] * a + b;
  }
  Vector sum = chain[0];
  for (int k = 1; k < kChains; ++k) sum += chain[k];
  return sum[0];
}

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  volatile float factor = 0.999f, term = 0.001f;
  std::atomic<float> sink{0.0f};  // somewhere for the results to go
  double seconds = 0.0;
  while (std::scanf("%lf", &seconds) == 1) {
    using Clock = std::chrono::steady_clock;
    std::atomic<long> slices{0};
    const auto begin = Clock::now();
    const auto end = begin + std::chrono::duration<double>(seconds);
    std::vector<std::thread> pool;
    for (int t = 0; t < threads; ++t) {
      pool.emplace_back([&] {
        long done = 0;
        float sum = 0.0f;
        do {
          sum += slice(factor, term);
          ++done;
        } while (Clock::now() < end);
        slices += done;
        sink = sum;
      });
    }
    for (auto& thread : pool) thread.join();
    const double took = std::chrono::duration<double>(Clock::now() - begin).count();
    const double flops = 2.0 * kLanes * kChains * static_cast<double>(kSteps * slices.load());
    std::printf("%.3f\n", flops / took / 1e9);
    std::fflush(stdout);
  }
}
