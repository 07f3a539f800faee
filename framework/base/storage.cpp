#include "voxgrad/framework/base/storage.hpp"

#include <zlib.h>

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

namespace vg {

namespace {
constexpr std::size_t seals_kept = 16;  // a graph that saved an older version is told that the content has changed
}  // namespace

struct Storage::Watch {
  /// The checksum of a version's content, taken before the first write that can change it.
  struct Seal {
    std::uint32_t version, checksum;
  };
  std::mutex mutex;
  std::vector<std::weak_ptr<Reader>> readers;
  std::vector<Seal> seals;
};

Storage::Storage(std::int64_t bytes) : block_(memory::allocate(static_cast<std::size_t>(bytes))), bytes_(bytes) {}
Storage::~Storage() { delete watch_.load(std::memory_order_relaxed); }

Storage::Watch& Storage::watch() {
  if (Watch* const there = watch_.load(std::memory_order_acquire)) return *there;
  auto made = std::make_unique<Watch>();
  Watch* expected = nullptr;
  return watch_.compare_exchange_strong(expected, made.get(), std::memory_order_acq_rel) ? *made.release() : *expected;
}

std::uint32_t Storage::checksum() const {
  return static_cast<std::uint32_t>(::crc32_z(0, static_cast<const Bytef*>(data()), static_cast<std::size_t>(bytes_)));
}

void Storage::add_reader(std::weak_ptr<Reader> reader) {
  Watch& w = watch();
  const std::lock_guard lock(w.mutex);
  std::erase_if(w.readers, [](const auto& r) { return r.expired(); });
  w.readers.push_back(std::move(reader));
  has_readers_.store(true, std::memory_order_relaxed);
}

void Storage::before_write() {
  Watch& w = watch();
  std::vector<std::weak_ptr<Reader>> readers;
  {
    const std::lock_guard lock(w.mutex);
    if (saved_.load(std::memory_order_relaxed)) {
      if (w.seals.size() == seals_kept) w.seals.erase(w.seals.begin());
      w.seals.push_back({version_.load(std::memory_order_relaxed), checksum()});
      version_.fetch_add(1, std::memory_order_relaxed);
      saved_.store(false, std::memory_order_relaxed);
    }
    readers.swap(w.readers);
    has_readers_.store(false, std::memory_order_relaxed);
  }
  for (const auto& weak : readers)
    if (const auto reader = weak.lock()) reader->read_now();
}

bool Storage::changed_since(std::uint32_t version) const {
  if (version == version_.load(std::memory_order_relaxed)) return false;
  Watch& w = *watch_.load(std::memory_order_acquire);
  const std::lock_guard lock(w.mutex);
  const auto seal =
      std::find_if(w.seals.begin(), w.seals.end(), [&](const Watch::Seal& s) { return s.version == version; });
  return seal == w.seals.end() || seal->checksum != checksum();
}

}  // namespace vg
