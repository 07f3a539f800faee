// One step over all leaves at once: the update loop of each leaf, and the division of many leaves' elements into tasks
// for the threads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

namespace vg {

/// Two sums over the elements of a leaf, for updates that depend on the whole leaf.
using LeafSums = std::array<double, 2>;

/// The update of one leaf's elements: a callable f(begin, end), held by value, so that making one allocates nothing. It
/// runs on several ranges of its leaf at the same time. It returns nothing, or its range's part of the leaf's LeafSums.
class ParamLoop {
 public:
  ParamLoop() {}  ///< does nothing; f_ stays uninitialised
  template <class F>
  requires std::is_invocable_v<const F&, std::int64_t, std::int64_t> ParamLoop(const F& f)  // NOLINT: implicit
      : call_(&call<F>), sums_(!std::is_void_v<Result<F>>) {
    static_assert(sizeof(F) <= sizeof(f_) && alignof(F) <= alignof(double), "make f_ larger");
    static_assert(std::is_trivially_copyable_v<F>, "pointers and numbers only: a ParamLoop is copied as bytes");
    std::memcpy(f_, &f, sizeof(F));
  }

  bool gives_sums() const { return sums_; }
  LeafSums operator()(std::int64_t begin, std::int64_t end) const { return call_(f_, begin, end); }

 private:
  template <class F>
  using Result = std::invoke_result_t<const F&, std::int64_t, std::int64_t>;
  template <class F>
  static LeafSums call(const void* f, std::int64_t begin, std::int64_t end) {
    if constexpr (std::is_void_v<Result<F>>) {
      (*static_cast<const F*>(f))(begin, end);
      return {};
    } else {
      return (*static_cast<const F*>(f))(begin, end);
    }
  }

  alignas(double) std::byte f_[128];  // eleven doubles and some pointers
  LeafSums (*call_)(const void* f, std::int64_t begin, std::int64_t end) = nullptr;
  bool sums_ = false;
};

namespace detail {

/// The elements of a leaf in one piece of work: about 0.25 MB of each array.
inline constexpr std::int64_t update_grain = 65536;
/// A task with this many elements takes no further piece.
inline constexpr std::int64_t task_grain = 16384;
/// A step of up to this many elements runs in the calling thread, because waking other threads would take as long.
inline constexpr std::int64_t serial_pass = 65536;

/// One step over many leaves, each with its own loop. Elements are divided into pieces: a large leaf is cut, always at
/// the same elements, and small leaves share a task. The division depends on sizes, never on the number of threads.
/// clear() keeps the memory; only add() allocates.
class FusedStep {
 public:
  void clear();
  /// Adds a leaf of n elements.
  void add(std::int64_t n);
  /// The loop of a leaf, in the order of add(). Set it before run() if the leaf has elements.
  ParamLoop& operator[](std::size_t leaf) { return loops_[leaf]; }
  /// Runs all loops. The threads share the pieces of all leaves.
  void run();
  /// The sums that the last run() returned for the leaf's pieces, added in their order.
  const LeafSums& sums(std::size_t leaf) const { return sums_[leaf]; }

 private:
  struct Piece {
    std::size_t leaf;
    std::int64_t begin, end;
    LeafSums sums;
  };
  std::vector<ParamLoop> loops_;
  std::vector<LeafSums> sums_;
  std::vector<Piece> pieces_;
  std::vector<std::size_t> tasks_;  // the first piece of each task
  std::int64_t in_task_ = 0;        // elements in the last task
  std::int64_t elements_ = 0;
};

}  // namespace detail

}  // namespace vg
