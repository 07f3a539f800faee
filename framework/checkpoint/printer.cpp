#include "voxgrad/framework/checkpoint/printer.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/quote.hpp"
#include "voxgrad/framework/checkpoint/base64.hpp"
#include "voxgrad/framework/checkpoint/document.hpp"
#include "voxgrad/framework/checkpoint/text.hpp"

namespace vg::checkpoint {

namespace {

std::string_view escape(char c, std::array<char, 8>& room) {
  switch (c) {
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '\n':
      return "\\n";
    case '\t':
      return "\\t";
    default:
      break;
  }
  if (static_cast<unsigned char>(c) >= 0x20) return {};
  const char* end = fmt::format_to(room.data(), "\\u{:04x}", static_cast<unsigned>(c));
  return {room.data(), static_cast<std::size_t>(end - room.data())};
}

}  // namespace

void Printer::line(std::size_t depth) {
  constexpr std::string_view spaces = "                                ";
  out_.put('\n');
  for (std::size_t left = 2 * depth; left != 0;) {
    const std::size_t n = std::min(left, spaces.size());
    out_.put(spaces.substr(0, n));
    left -= n;
  }
}

std::string Printer::where() const {
  std::string path = "$";
  for (const Level& level : open_)
    if (!level.name.empty()) path += "." + level.name;
  return path + "." + key_;
}

void Printer::open_object() {
  if (open_.size() + 2 > static_cast<std::size_t>(max_depth))  // one more level for a list within the object
    throw ValueError(fmt::format("[checkpoint] save: {} is nested more than {} deep", in_quotes(where()), max_depth));
  out_.put('{');
  open_.push_back({key_, {}});
}

void Printer::close_object() {
  const bool empty = open_.back().keys.empty();
  open_.pop_back();
  if (!empty) line(open_.size());
  out_.put('}');
  if (open_.empty()) out_.put('\n');
}

void Printer::begin_key(std::string_view name) {
  key_ = name;
  auto& keys = open_.back().keys;
  if (!keys.emplace(name).second)
    throw ValueError(
        fmt::format("[checkpoint] save: there are two of the name {} in {}", in_quotes(name), in_quotes(where())));
  if (keys.size() > max_keys)
    throw ValueError(
        fmt::format("[checkpoint] save: {} is one of more than {} names in its object; a checkpoint allows no more",
                    in_quotes(where()), max_keys));
  if (keys.size() > 1) out_.put(',');
  line(open_.size());
}

void Printer::key(std::string_view name) {
  begin_key(name);
  text(name);
  out_.put(": ");
}

void Printer::sum(std::string_view name) {
  begin_key(name);
  const std::uint32_t sum = out_.sum();
  text(name);
  out_.put(": ");
  integer(sum);
}

void Printer::open_tag(std::string_view type) {
  out_.put("{\"");
  out_.put(type);
  out_.put("\": ");
}
void Printer::close_tag() { out_.put('}'); }

void Printer::text(std::string_view value) {
  if (value.size() > max_text)
    throw ValueError(fmt::format("[checkpoint] save: the string at {} has {} bytes; a checkpoint allows {}",
                                 in_quotes(where()), value.size(), max_text));
  std::array<char, 8> room{};
  out_.put('"');
  while (!value.empty()) {
    const std::size_t n = utf8_sequence(value);
    if (n == 0) throw ValueError(fmt::format("[checkpoint] save: the string at {} is not UTF-8", in_quotes(where())));
    const std::string_view escaped = escape(value.front(), room);
    out_.put(escaped.empty() ? value.substr(0, n) : escaped);
    value.remove_prefix(n);
  }
  out_.put('"');
}

void Printer::boolean(bool value) { out_.put(value ? "true" : "false"); }
void Printer::integer(std::int64_t value) { out_.wrote(print(out_.room(number_room), value)); }
void Printer::real(double value) { out_.wrote(print_real(out_.room(number_room), value)); }

// print_line(first, last) prints the entries [first, last) with ", " between them.
template <class PrintLine>
void Printer::lines(std::int64_t count, std::int64_t per_line, PrintLine&& print_line) {
  const bool broken = count > per_line;
  out_.put('[');
  for (std::int64_t first = 0; first < count; first += per_line) {
    if (first != 0) out_.put(',');
    if (broken) line(open_.size() + 1);
    print_line(first, std::min(count, first + per_line));
  }
  if (broken) line(open_.size());
  out_.put(']');
}

template <class T>
void Printer::list(const T* values, std::int64_t count, std::int64_t per_line) {
  lines(count, per_line, [&](std::int64_t first, std::int64_t last) {
    char* to = out_.room(static_cast<std::size_t>(last - first) * (number_room + 2));
    for (std::int64_t i = first; i < last; ++i) {
      if (i != first) *to++ = ',', *to++ = ' ';
      to = print(to, values[i]);
    }
    out_.wrote(to);
  });
}
template void Printer::list(const float*, std::int64_t, std::int64_t);
template void Printer::list(const double*, std::int64_t, std::int64_t);
template void Printer::list(const std::int32_t*, std::int64_t, std::int64_t);
template void Printer::list(const std::int64_t*, std::int64_t, std::int64_t);

void Printer::base64(const unsigned char* bytes, std::size_t count) {
  constexpr std::size_t piece = 3 * 4096;
  out_.put('"');
  for (std::size_t done = 0; done < count; done += piece) {
    const std::size_t n = std::min(piece, count - done);
    out_.wrote(encode_base64(bytes + done, n, out_.room(static_cast<std::size_t>(base64_size(piece)))));
  }
  out_.put('"');
}

void Printer::reals(const std::vector<double>& values) {
  lines(static_cast<std::int64_t>(values.size()), 8, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      if (i != first) out_.put(", ");
      real(values[static_cast<std::size_t>(i)]);
    }
  });
}

void Printer::texts(const std::vector<std::string>& values) {
  lines(static_cast<std::int64_t>(values.size()), 8, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      if (i != first) out_.put(", ");
      text(values[static_cast<std::size_t>(i)]);
    }
  });
}

}  // namespace vg::checkpoint
