#include "verify-run/textset.h"

const struct passage textset[TEXTSET_COUNT] = {
    { "story",
        "One morning a small boy called Tom found a red ball in the garden. "
        "He wanted to play with his dog, but the dog was asleep under the "
        "tree. Tom sat down and waited. When the dog woke up, they ran to "
        "the park together and played until the sun went down. Then Tom went "
        "home, ate his soup, and told his mother about the day. She smiled "
        "and said, \"Tomorrow you can show the ball to your friends.\"" },
    { "facts",
        "The earth goes around the sun once a year, and the moon goes around "
        "the earth about once a month. Water freezes at zero degrees and "
        "boils at one hundred degrees, but on a high mountain it boils "
        "sooner, because the air is thinner there. Plants use the light of "
        "the sun to make sugar from water and air. Animals eat the plants, "
        "and other animals eat them. When a plant or an animal dies, small "
        "living things in the soil take it apart, and new plants grow from "
        "what is left." },
    { "letter",
        "Dear Anna, thank you for your letter and for the pictures of the "
        "new house. We were glad to hear that the children like their "
        "school. The weather here has been cold and wet for two weeks, so we "
        "stayed at home, read books and baked bread. My brother will come on "
        "Friday with his wife. I hope that you can visit us in the summer, "
        "when the roses are out. With love, your aunt Mary." },
    { "report",
        "The city council said on Tuesday that the old bridge over the river "
        "would be closed for three months. Engineers had found cracks in two "
        "of its pillars. Buses will take another road, and the trip to the "
        "station is expected to take about ten minutes longer. The repairs "
        "will cost four million dollars, half of which will be paid by the "
        "state. \"We know that this is not easy for the people who live "
        "here,\" the mayor said, \"but their safety comes first.\"" },
    { "code", "def mean(values):\n"
              "    \"\"\"Return the average of a list of numbers.\"\"\"\n"
              "    total = 0\n"
              "    for value in values:\n"
              "        total += value\n"
              "    return total / len(values)\n"
              "\n"
              "int main(int argc, char *argv[])\n"
              "{\n"
              "    for (int i = 0; i < argc; i++)\n"
              "        printf(\"%s\\n\", argv[i]);\n"
              "    return 0;\n"
              "}\n" },
    { "languages",
        "Gestern hat es den ganzen Tag geregnet, aber heute scheint wieder "
        "die Sonne. Le matin, ma s\303\250ur boit du caf\303\251 et lit le "
        "journal. Mi hermano vive en una casa peque\303\261a cerca del mar. "
        "Il treno per Roma parte alle otto e arriva a mezzogiorno." },
};
