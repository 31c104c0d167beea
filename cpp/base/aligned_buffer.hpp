// Cache-line aligned memory that only grows, so that a batch of a size seen before allocates
// nothing.
#pragma once

#include <algorithm>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "base/index.hpp"

namespace lstmcore {

// A bad_alloc that says how much was asked for.
class AllocationError : public std::bad_alloc {
 public:
  explicit AllocationError(Index bytes)
      : text_(std::make_shared<const std::string>("could not allocate " + std::to_string(bytes) +
                                                  " bytes")) {}
  const char* what() const noexcept override { return text_->c_str(); }

 private:
  std::shared_ptr<const std::string> text_;  // shared: copying an exception must not throw
};

template <class T>
class AlignedBuffer {
 public:
  static constexpr std::align_val_t kAlignment{64};

  AlignedBuffer() = default;
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), capacity_(std::exchange(other.capacity_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }
  ~AlignedBuffer() { release(); }

  // Room for `size` elements of unspecified value; what was there is gone when it has to grow.
  T* reserve(Index size) {
    if (size > capacity_) {
      const Index bytes = checked_product(size, static_cast<Index>(sizeof(T)));
      void* fresh = ::operator new(static_cast<std::size_t>(bytes), kAlignment, std::nothrow);
      if (fresh == nullptr) throw AllocationError(bytes);
      release();
      data_ = static_cast<T*>(fresh);
      capacity_ = size;
    }
    return data_;
  }

  T* reserve_zeroed(Index size) {
    T* data = reserve(size);
    std::fill_n(data, size, T{});
    return data;
  }

  T* data() noexcept { return data_; }
  const T* data() const noexcept { return data_; }
  Index capacity() const noexcept { return capacity_; }

 private:
  void release() noexcept {
    if (data_ != nullptr) ::operator delete(data_, kAlignment);
    data_ = nullptr;
    capacity_ = 0;
  }

  T* data_ = nullptr;
  Index capacity_ = 0;
};

}  // namespace lstmcore
