// A pass over all leaves at once: what an optimizer does to a leaf, and how the elements of many leaves are cut into
// work for the threads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

namespace vg {

/// Two sums over elements of a leaf, for an update that depends on the whole leaf.
using LeafSums = std::array<double, 2>;

/// What a pass does to elements of one leaf: a callable f(begin, end), held by value, so making one takes no memory. It
/// runs on several ranges of its leaf at the same time. It returns nothing, or its part of the leaf's LeafSums.
class ParamLoop {
 public:
  ParamLoop() {}  ///< nothing to do; f_ stays as it is
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

/// Elements of a leaf in one piece of work: about 0.25 MB of each array.
inline constexpr std::int64_t update_grain = 65536;
/// Elements from which on a task takes no further piece.
inline constexpr std::int64_t task_grain = 16384;
/// Elements up to which a pass stays in the calling thread: waking the others takes as long.
inline constexpr std::int64_t serial_pass = 65536;

/// One pass over many leaves, each with a loop of its own. Their elements are cut into pieces, a large leaf into
/// several, always at the same places of it, and small leaves share a task: by size, never by the number of threads.
/// Keeps its memory when it is cleared; only add() takes any.
class FusedStep {
 public:
  void clear();
  /// One more leaf, of n elements.
  void add(std::int64_t n);
  /// The loop of a leaf, in the order of add(); to be set before run() where the leaf has elements.
  ParamLoop& operator[](std::size_t leaf) { return loops_[leaf]; }
  /// Runs all loops; threads share the pieces of all leaves.
  void run();
  /// What the last run() gave for the leaf's pieces, added up in their order.
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
  std::vector<std::size_t> tasks_;  // the first piece of each
  std::int64_t in_task_ = 0;        // elements in the last one
  std::int64_t elements_ = 0;
};

}  // namespace detail

}  // namespace vg
