"""Operators around generation; each calls one function and reports what became of it.

kmm.generate                     takes for all enabled prompts
kmm.regenerate_block             a take with only the selected prompt new, its neighbours pinned
kmm.cancel                       stops the generation under way
kmm.new_seed                     another scene.kmm.seed
kmm.show_take(index)             shows scene.kmm.takes[index]; its own index makes the first one shown with -1: the own Action
kmm.accept_take(accept_as)       keeps the take shown; "ACTION" or "NLA", by default scene.kmm.accept_as
kmm.reject_takes                 removes all takes; the scene is as it was
kmm.restore_take(index)          a take again from scene.kmm_history.entries[index]
kmm.delete_history(index)        forgets one earlier take; -1 forgets all
kmm.dismiss_error                clears the message of the last failure
"""
