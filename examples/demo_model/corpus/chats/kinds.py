"""How often each kind of question is asked."""

from chats.about_puna import about_puna, favorite_of_puna
from chats.beyond import beyond, unknown_word
from chats.facts import can_fact, category_fact, color_fact, compare_animals, fact, order_fact
from chats.fun import (answer_riddle, joke, name_idea, poem, riddle, sentence_with, story_idea,
                       story_title)
from chats.json_answers import json_question
from chats.lists import choose_one, given_list, list_question, one_of
from chats.numbers import arithmetic, compare_numbers, counting, word_problem
from chats.scenes import scene_question
from chats.small_talk import small_talk, unknown_user_name, user_name
from chats.words import repeat, rhyme, word_question

KINDS = [(22, scene_question), (9, small_talk), (7, about_puna), (1, favorite_of_puna),
         (2, user_name), (0.5, unknown_user_name), (5, arithmetic), (4, word_problem),
         (1.5, compare_numbers), (2.5, counting), (11, fact), (2.5, color_fact), (2, order_fact),
         (3, category_fact), (1.5, can_fact), (1.5, compare_animals), (6, list_question),
         (1, given_list), (0.7, one_of), (0.8, choose_one), (10, json_question), (4, word_question),
         (2, rhyme), (3, repeat), (2, joke), (1.2, riddle), (1, answer_riddle), (2.5, poem),
         (1, story_idea), (1, story_title), (1.5, sentence_with), (1, name_idea), (4, beyond),
         (1.5, unknown_word)]
SHORT_KINDS = [(3, arithmetic), (2, fact), (1, color_fact), (1, joke), (1, about_puna),
               (1, counting), (1, category_fact)]


def draw(weighted, random):
    return random.choices([kind for _, kind in weighted], [weight for weight, _ in weighted])[0]
