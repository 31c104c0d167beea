// What the machine does at best: multiply-adds, reading, and reading what threads share out.
//
// Reads orders, a line each, and answers each with a line:
//
//   multiply SECONDS       GFLOP/s of all threads together, float32: sixteen independent chains of
//                          the widest vectors the compiler knows for this machine, in registers
//   stream SECONDS BYTES   GB/s at which all threads together read arrays of that many bytes, each
//                          its own, again and again
//   step SECONDS BYTES     nanoseconds of every time that so many bytes were read once: each thread
//                          reads its part when it is called to, and the last one counts
//
// A running program, so that all of it can be measured in turns with the peers.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
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
    for (int k = 0; k < 8; ++k) chain[k] += *reinterpret_cast<const Vector*>(data + i + k * kLanes);
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

// An array of ones, as long as a whole number of passes.
class Ones {
 public:
  explicit Ones(long bytes)
      : size_((bytes / 4 + kStride - 1) / kStride * kStride),
        data_(static_cast<float*>(std::aligned_alloc(64, static_cast<std::size_t>(size_) * 4))) {
    for (long i = 0; i < size_; ++i) data_[i] = 1.0f;
  }
  ~Ones() { std::free(data_); }
  Ones(const Ones&) = delete;
  Ones& operator=(const Ones&) = delete;
  const float* data() const { return data_; }
  long size() const { return size_; }

 private:
  static constexpr long kStride = 8 * kLanes;  // what a pass reads at a time
  long size_;
  float* data_;
};

static double stream_gbps(int threads, double seconds, long bytes, float* sink) {
  std::vector<std::unique_ptr<Ones>> arrays;
  for (int t = 0; t < threads; ++t) arrays.push_back(std::make_unique<Ones>(bytes));
  const long n = arrays.front()->size();
  const long repeats = 1 + (1 << 20) / (n * 4);  // the clock is read once a mebibyte
  const double passes = rate(threads, seconds, [&](int t) {
    for (long r = 0; r < repeats; ++r)
      sink[t * 64] += pass(arrays[static_cast<std::size_t>(t)]->data(), n);
  });
  return passes * static_cast<double>(repeats * n) * 4 / 1e9;
}

// A part in pieces of 64 KiB, every other time from the last to the first: what a cache too small
// for it has kept of its end is then read first.
static float read_part(const Ones& part, bool descending) {
  constexpr long kPiece = 16384;
  const long pieces = (part.size() + kPiece - 1) / kPiece;
  float sum = 0.0f;
  for (long k = 0; k < pieces; ++k) {
    const long begin = (descending ? pieces - 1 - k : k) * kPiece;
    sum += pass(part.data() + begin, std::min(kPiece, part.size() - begin));
  }
  return sum;
}

static std::vector<long> step_times(int threads, double seconds, long bytes, float* sink) {
  std::vector<std::unique_ptr<Ones>> parts;
  for (int t = 0; t < threads; ++t) parts.push_back(std::make_unique<Ones>(bytes / threads));
  std::atomic<long> called{0}, done{0};
  std::atomic<bool> over{false};
  std::vector<std::thread> helpers;
  for (int t = 1; t < threads; ++t) {
    helpers.emplace_back([&, t] {
      for (long step = 1; !over.load(std::memory_order_acquire);) {
        if (called.load(std::memory_order_acquire) < step) continue;
        sink[t * 64] += read_part(*parts[static_cast<std::size_t>(t)], step % 2 == 0);
        done.fetch_add(1, std::memory_order_release);
        ++step;
      }
    });
  }
  std::vector<long> took;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  for (long step = 1; took.empty() || Clock::now() < end; ++step) {
    const auto begin = Clock::now();
    called.store(step, std::memory_order_release);
    sink[0] += read_part(*parts.front(), step % 2 == 0);
    while (done.load(std::memory_order_acquire) < step * (threads - 1)) {
    }
    took.push_back(std::chrono::nanoseconds(Clock::now() - begin).count());
  }
  over.store(true, std::memory_order_release);
  for (auto& helper : helpers) helper.join();
  return took;
}

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  volatile float factor = 0.999f, term = 0.001f;
  std::vector<float> sink(static_cast<std::size_t>(threads) * 64);  // somewhere for the results
  char order[16];
  double seconds = 0.0;
  long bytes = 0;
  while (std::scanf("%15s %lf", order, &seconds) == 2) {
    if (std::strcmp(order, "multiply") == 0) {
      const double slices =
          rate(threads, seconds, [&](int t) { sink[t * 64] += slice(factor, term); });
      std::printf("%.3f", slices * 2.0 * kLanes * kChains * kSteps / 1e9);
    } else if (std::scanf("%ld", &bytes) != 1) {
      return 1;
    } else if (std::strcmp(order, "stream") == 0) {
      std::printf("%.3f", stream_gbps(threads, seconds, bytes, sink.data()));
    } else {
      for (const long ns : step_times(threads, seconds, bytes, sink.data()))
        std::printf("%ld ", ns);
    }
    std::printf("\n");
    std::fflush(stdout);
  }
}
