// Texts for the tests of ingest: prose in three languages, code, and made-up documents.
#pragma once

#include "base/random.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace troupe::dataflow {

inline constexpr std::string_view english =
    "Once upon a time there was a woman who lived with her two children at the edge of a great "
    "forest. They were poor, and in the winter there was not enough to eat. One evening the "
    "woman said to the children that they would have to go into the forest and look for wood, "
    "and that she would wait for them with the last of the bread. The children went, and it "
    "began to snow before they had found anything that would burn.";

inline constexpr std::string_view german =
    "Es war einmal eine Frau, die lebte mit ihren zwei Kindern am Rande eines gro\u00DFen Waldes. "
    "Sie waren arm, und im Winter war nicht genug zu essen da. Eines Abends sagte die Frau zu "
    "den Kindern, dass sie in den Wald gehen und Holz suchen sollten, und dass sie mit dem "
    "letzten Brot auf sie warten werde. Die Kinder gingen, und es fing an zu schneien, ehe sie "
    "etwas gefunden hatten, das brennen wollte, und sie f\u00FCrchteten sich sehr.";

inline constexpr std::string_view french =
    "Il y avait une fois une femme qui vivait avec ses deux enfants au bord d'une grande "
    "for\u00EAt. Ils \u00E9taient pauvres, et dans l'hiver il n'y avait pas de quoi manger pour "
    "tous. Un soir la femme dit aux enfants d'aller dans la for\u00EAt pour chercher du bois, et "
    "qu'elle les attendrait avec le dernier pain qui restait sur la table de la maison.";

inline constexpr std::string_view russian =
    "\u0416\u0438\u043B\u0438-\u0431\u044B\u043B\u0438 \u0441\u0442\u0430\u0440\u0438\u043A "
    "\u0441\u043E \u0441\u0442\u0430\u0440\u0443\u0445\u043E\u0439 \u0443 \u0441\u0430\u043C\u043E"
    "\u0433\u043E \u0441\u0438\u043D\u0435\u0433\u043E \u043C\u043E\u0440\u044F";

inline constexpr std::string_view code =
    "#include <vector>\n#include <string>\n\nint main(int argc, char** argv) {\n"
    "  std::vector<int> v(10);\n  for (int i = 0; i < 10; ++i) { v[i] = i * i; }\n"
    "  if (v[3] == 9 && v[4] == 16) return 0;\n  x += y; z -= w; a = b; c = d; e = f;\n"
    "  p = q; r = s; t = u; k = l; m = n; o = p; { { { } } } ; ; ; ( ) ( ) [ ] [ ]\n}\n";

// Words of a language of its own, drawn from a thousand: like texts only by chance.
inline std::string made_up(uint64_t seed, uint32_t words) {
  static constexpr std::array<std::string_view, 10> parts = {"ba", "du", "fe", "gi", "ko",
                                                             "lu", "ma", "ne", "so", "tri"};
  const random_key key{.seed = seed, .subsystem = random_subsystem::workload, .entity = 0};
  std::string out;
  for (uint32_t i = 0; i < words; ++i) {
    const uint64_t word = random_below(key, i, 1000);
    if (i > 0) out += i % 12 == 0 ? ". " : " ";
    for (const uint64_t part : {word / 100, word / 10 % 10, word % 10}) out += parts[part];
  }
  return out + ".";
}

} // namespace troupe::dataflow
