// Zip archives for tests.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <string>
#include <vector>

namespace vg::test {

/// A zip archive made field by field, so that fields can be wrong.
struct Zip {
  struct Entry {
    std::string name, content;
    std::uint16_t method = 0, flags = 0;
    std::uint32_t size = 0xfffffffe, crc = 0xfffffffe;  // these values mean the right ones
    std::string extra = {};
    std::uint32_t at = 0xfffffffe;
    std::string local_name = {};
  };
  std::vector<Entry> entries;
  std::uint16_t count = 0xfffe;
  std::uint32_t directory_shift = 0, directory_more = 0;
  std::uint16_t disk = 0;

  std::string bytes() const {
    std::string out, directory;
    std::vector<std::uint32_t> at;
    const auto field = [](std::string& to, auto value) {
      to.append(reinterpret_cast<const char*>(&value), sizeof(value));
    };
    const auto body = [&](std::string& to, const Entry& e) {
      field(to, e.flags), field(to, e.method), field(to, std::uint32_t{0});
      field(to, e.crc != 0xfffffffe
                    ? e.crc
                    : static_cast<std::uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(e.content.data()),
                                                       static_cast<uInt>(e.content.size()))));
      field(to, static_cast<std::uint32_t>(e.content.size()));
      field(to, e.size != 0xfffffffe ? e.size : static_cast<std::uint32_t>(e.content.size()));
    };
    for (const Entry& e : entries) {
      const std::string& local = e.local_name.empty() ? e.name : e.local_name;
      at.push_back(static_cast<std::uint32_t>(out.size()));
      out += "PK\3\4";
      field(out, std::uint16_t{20});
      body(out, e);
      field(out, static_cast<std::uint16_t>(local.size())), field(out, std::uint16_t{0});
      out += local + e.content;
      directory += "PK\1\2";
      field(directory, std::uint16_t{20}), field(directory, std::uint16_t{20});
      body(directory, e);
      field(directory, static_cast<std::uint16_t>(e.name.size()));
      field(directory, static_cast<std::uint16_t>(e.extra.size()));
      directory += std::string(10, '\0');
      field(directory, e.at != 0xfffffffe ? e.at : at.back());
      directory += e.name + e.extra;
    }
    const auto n = count != 0xfffe ? count : static_cast<std::uint16_t>(entries.size());
    std::string end = "PK\5\6";
    field(end, disk), field(end, disk), field(end, n), field(end, n);
    field(end, static_cast<std::uint32_t>(directory.size()) + directory_more);
    field(end, static_cast<std::uint32_t>(out.size()) + directory_shift);
    field(end, std::uint16_t{0});
    return out + directory + end;
  }
};

}  // namespace vg::test
