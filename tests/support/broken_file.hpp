// Files that a reader must refuse, with their names and the expected messages.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "support/message_of.hpp"
#include "support/temp_dir.hpp"
#include "voxgrad/framework/formats/random_access_file.hpp"

namespace vg::test {

/// Overwrites the bytes from `at` on with those of a number, in reverse order if `swapped`.
template <class T>
void put(std::string& bytes, std::size_t at, T value, bool swapped = false) {
  char raw[sizeof(T)];
  std::memcpy(raw, &value, sizeof(T));
  if (swapped) std::reverse(raw, raw + sizeof(T));
  std::memcpy(bytes.data() + at, raw, sizeof(T));
}

struct Case {
  const char* name;
  std::string bytes;
  const char* says;
};

/// The message for these bytes; it must be the same for bytes in memory and for a file.
template <class Read, class ReadFile>
std::string refusal(const std::string& bytes, const TempDir& dir, Read&& read, ReadFile&& read_file) {
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  const std::string in_memory = message_of<vg::IoError>([&] {
    read(vg::detail::RandomAccessFile("[memory]", "broken", {data, bytes.size()}));
  });
  const auto path = dir.write("broken", bytes);
  const std::string of_file = message_of<vg::IoError>([&] { read_file(path); });
  CHECK(in_memory.substr(in_memory.find(": ") + 1) == of_file.substr(of_file.find(": ") + 1));
  return of_file;
}

/// Runs one section per case.
inline void check_cases(const std::vector<Case>& cases, const std::function<std::string(const std::string&)>& refused,
                        const std::string& where) {
  for (const Case& c : cases) DYNAMIC_SECTION(c.name) {
      const std::string said = refused(c.bytes);
      CHECK_THAT(said, Catch::Contains(c.says));
      CHECK_THAT(said, Catch::StartsWith(where));
      CHECK_THAT(said, Catch::Contains("broken: "));
    }
}

}  // namespace vg::test
