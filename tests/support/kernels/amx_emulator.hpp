// Runs AMX instructions on a CPU without AMX: a handler of SIGILL decodes and executes them as in Intel's manual, and
// refuses instructions that would raise #UD. So the machine code of kernels_amx.cpp is tested on any x86-64 Linux.
#pragma once

#if defined(__x86_64__) && defined(__linux__)
#include <signal.h>
#include <ucontext.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace vg::test {

class AmxEmulator {
 public:
  AmxEmulator() {
    struct sigaction action {};
    action.sa_sigaction = &AmxEmulator::handle;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGILL, &action, &before_);
    machine() = Machine{};
  }
  ~AmxEmulator() { sigaction(SIGILL, &before_, nullptr); }
  AmxEmulator(const AmxEmulator&) = delete;
  AmxEmulator& operator=(const AmxEmulator&) = delete;

  /// The number of tile products so far; 0 if the CPU has AMX and ran them.
  static long products() { return machine().products; }

 private:
  struct Machine {
    bool on = false;
    long products = 0;
    int rows[8] = {}, bytes[8] = {};
    std::uint8_t tile[8][16][64] = {};
  };
  static Machine& machine() {
    static Machine m;
    return m;
  }

  [[noreturn]] static void refuse(const char* why, const std::uint8_t* code) {
    std::fprintf(stderr, "AmxEmulator: %s:", why);
    for (int i = 0; i < 10; ++i) std::fprintf(stderr, " %02x", code[i]);
    std::fprintf(stderr, "\n");
    std::_Exit(3);
  }

  static std::int64_t reg(const ucontext_t& u, int number) {
    constexpr int at[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                            REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    return u.uc_mcontext.gregs[at[number]];
  }

  /// One instruction: VEX prefix of three bytes, opcode, ModRM, and the bytes of a memory operand.
  struct Instruction {
    const std::uint8_t *code, *next;
    int prefix, opcode, mod, reg, rm, third;  // third: VEX.vvvv
    bool sib = false;
    std::int64_t base = 0, index = 0;

    Instruction(const ucontext_t& u, const std::uint8_t* c)
        : code(c), next(c + 5), prefix(c[2] & 3), opcode(c[3]), mod(c[4] >> 6), third(~c[2] >> 3 & 15) {
      const int map = c[1] & 31, w_and_l = c[2] & 0x84;
      if (c[0] != 0xc4 || map != 2 || w_and_l != 0) refuse("no AMX instruction", c);
      reg = (c[4] >> 3 & 7) | (c[1] & 0x80 ? 0 : 8);
      rm = (c[4] & 7) | (c[1] & 0x20 ? 0 : 8);
      if (mod != 3) read_memory(u, (c[1] & 0x40) == 0 ? 8 : 0);
    }

    void read_memory(const ucontext_t& u, int x) {
      sib = (rm & 7) == 4;
      if (mod == 0 && (sib ? *next & 7 : rm & 7) == 5) refuse("an address without a base", code);
      if (sib) {
        const int b = *next++, number = (b >> 3 & 7) | x;
        base = AmxEmulator::reg(u, (b & 7) | (rm & 8));
        index = number == 4 ? 0 : AmxEmulator::reg(u, number) << (b >> 6);
      } else {
        base = AmxEmulator::reg(u, rm);
      }
      std::int32_t displacement = 0;
      if (mod == 1) displacement = static_cast<std::int8_t>(*next);
      if (mod == 2) std::memcpy(&displacement, next, 4);
      next += mod == 1 ? 1 : mod == 2 ? 4 : 0;
      base += displacement;
    }
  };

  static void configure(Machine& m, const Instruction& i) {
    std::uint8_t config[64];
    std::memcpy(config, reinterpret_cast<const void*>(i.base + i.index), 64);
    if (config[0] != 1) refuse("palette", i.code);
    for (int b = 1; b < 16; ++b)
      if (config[b] != 0) refuse("reserved byte", i.code);
    const long products = m.products;
    m = Machine{};
    m.products = products;
    m.on = true;
    for (int t = 0; t < 16; ++t) {
      const int bytes = config[16 + 2 * t] | config[17 + 2 * t] << 8, rows = config[48 + t];
      if (t >= 8 ? bytes + rows > 0 : bytes > 64 || rows > 16 || (bytes == 0) != (rows == 0)) refuse("size", i.code);
      if (t < 8) m.rows[t] = rows, m.bytes[t] = bytes;
    }
  }

  static void use(const Machine& m, int t, const Instruction& i) {
    if (!m.on || t > 7 || m.rows[t] == 0) refuse("a tile that is not configured", i.code);
  }

  static float number(const std::uint8_t* bf16) {
    const std::uint32_t bits = static_cast<std::uint32_t>(bf16[0] | bf16[1] << 8) << 16;
    float f;
    std::memcpy(&f, &bits, 4);
    return f;
  }

  static void multiply(Machine& m, const Instruction& i) {
    const int c = i.reg, a = i.rm, b = i.third;
    for (const int t : {c, a, b}) use(m, t, i);
    if (c == a || c == b || a == b) refuse("a tile twice", i.code);
    if (m.rows[c] != m.rows[a] || m.bytes[c] != m.bytes[b] || m.bytes[a] != 4 * m.rows[b] || m.bytes[b] % 4 != 0)
      refuse("sizes that do not fit", i.code);
    for (int row = 0; row < m.rows[c]; ++row)
      for (int k = 0; k < m.rows[b]; ++k)
        for (int column = 0; column < m.bytes[c]; column += 4) {
          const std::uint8_t *x = &m.tile[a][row][4 * k], *y = &m.tile[b][k][column];
          float sum;
          std::memcpy(&sum, &m.tile[c][row][column], 4);
          sum += number(x) * number(y);
          sum += number(x + 2) * number(y + 2);
          std::memcpy(&m.tile[c][row][column], &sum, 4);
        }
    ++m.products;
  }

  static void run(Machine& m, const Instruction& i) {
    enum { none, p66, f3, f2 };
    const auto row = [&](int r) { return reinterpret_cast<std::uint8_t*>(i.base + r * i.index); };
    if (i.opcode == 0x49 && i.prefix == none && i.mod != 3 && i.reg == 0) return configure(m, i);
    if (i.opcode == 0x49 && i.prefix == none && i.code[4] == 0xc0) return void(m.on = false);
    if (i.opcode == 0x5c && i.prefix == f3 && i.mod == 3) return multiply(m, i);
    use(m, i.reg, i);
    if (i.opcode == 0x49 && i.prefix == f2 && i.mod == 3 && i.rm == 0) {
      std::memset(m.tile[i.reg], 0, sizeof m.tile[i.reg]);
    } else if (i.opcode == 0x4b && i.prefix == f2 && i.sib) {
      std::memset(m.tile[i.reg], 0, sizeof m.tile[i.reg]);
      for (int r = 0; r < m.rows[i.reg]; ++r)
        std::memcpy(m.tile[i.reg][r], row(r), static_cast<std::size_t>(m.bytes[i.reg]));
    } else if (i.opcode == 0x4b && i.prefix == f3 && i.sib) {
      for (int r = 0; r < m.rows[i.reg]; ++r)
        std::memcpy(row(r), m.tile[i.reg][r], static_cast<std::size_t>(m.bytes[i.reg]));
    } else {
      refuse("unknown instruction", i.code);
    }
  }

  static void handle(int, siginfo_t*, void* context) {
    auto& u = *static_cast<ucontext_t*>(context);
    const Instruction i(u, reinterpret_cast<const std::uint8_t*>(u.uc_mcontext.gregs[REG_RIP]));
    run(machine(), i);
    u.uc_mcontext.gregs[REG_RIP] = reinterpret_cast<std::int64_t>(i.next);
  }

  struct sigaction before_ {};
};

}  // namespace vg::test
#endif
