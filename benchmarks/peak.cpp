// Fused multiply-adds a second, float32: the ceiling every other number is measured against.
//
// Sixteen independent chains of the widest vectors the compiler knows for this machine, in registers
// only, one copy on each thread. Reads a line "seconds bytes": with 0 bytes it writes GFLOP/s, else
// the GB/s at which all threads read arrays of that many bytes, each its own, again and again. A
// running program, so that the ceiling is taken in turns with the peers.
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

// One pass over an array of floats, read only: its sum, in as many chains as loads are under way.
static float pass(const float* data, long n) {
  Vector chain[8] = {};
  for (long i = 0; i + 8 * kLanes <= n; i += 8 * kLanes) {
#pragma GCC unroll 8
    for (int k = 0; k < 8; ++k)
      chain[k] += *reinterpret_cast<const Vector*>(data + i + k * kLanes);
  }
  Vector sum = chain[0];
  for (int k = 1; k < 8; ++k) sum += chain[k];
  return sum[0];
}

using Clock = std::chrono::steady_clock;

// Calls body(thread) on all threads again and again for some seconds; calls a second, all together.
template <class Body>
static double rate(int threads, double seconds, Body body) {
  std::atomic<long> calls{0};
  const auto begin = Clock::now();
  const auto end = begin + std::chrono::duration<double>(seconds);
  std::vector<std::thread> pool;
  for (int t = 0; t < threads; ++t) {
    pool.emplace_back([&, t] {
      long done = 0;
      do {
        body(t);
        ++done;
      } while (Clock::now() < end);
      calls += done;
    });
  }
  for (auto& thread : pool) thread.join();
  return static_cast<double>(calls.load()) /
         std::chrono::duration<double>(Clock::now() - begin).count();
}

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  volatile float factor = 0.999f, term = 0.001f;
  std::vector<float> sink(static_cast<std::size_t>(threads) * 64);  // somewhere for the results
  double seconds = 0.0;
  long bytes = 0;
  while (std::scanf("%lf %ld", &seconds, &bytes) == 2) {
    if (bytes == 0) {
      const double slices = rate(threads, seconds, [&](int t) { sink[t * 64] += slice(factor, term); });
      std::printf("%.3f\n", slices * 2.0 * kLanes * kChains * kSteps / 1e9);
    } else {
      const long n = bytes / 4 / (8 * kLanes) * (8 * kLanes);
      std::vector<float*> arrays(static_cast<std::size_t>(threads));
      for (float*& array : arrays) {
        array = static_cast<float*>(std::aligned_alloc(64, static_cast<std::size_t>(n) * 4));
        for (long i = 0; i < n; ++i) array[i] = 1.0f;
      }
      const long repeats = 1 + (1 << 20) / (n * 4);  // the clock is read once a mebibyte
      const double passes = rate(threads, seconds, [&](int t) {
        for (long r = 0; r < repeats; ++r) sink[t * 64] += pass(arrays[t], n);
      });
      std::printf("%.3f\n", passes * static_cast<double>(repeats * n) * 4 / 1e9);
      for (float* array : arrays) std::free(array);
    }
    std::fflush(stdout);
  }
}
