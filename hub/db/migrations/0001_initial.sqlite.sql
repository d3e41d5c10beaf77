-- What is written in the log stays written; what has ended does not begin again.

CREATE TRIGGER audit_leaf_fixed BEFORE UPDATE ON audit_leaf
BEGIN SELECT RAISE (ABORT, 'audit_leaf is append-only'); END;
CREATE TRIGGER audit_leaf_kept BEFORE DELETE ON audit_leaf
BEGIN SELECT RAISE (ABORT, 'audit_leaf is append-only'); END;
CREATE TRIGGER audit_node_fixed BEFORE UPDATE ON audit_node
BEGIN SELECT RAISE (ABORT, 'audit_node is append-only'); END;
CREATE TRIGGER audit_node_kept BEFORE DELETE ON audit_node
BEGIN SELECT RAISE (ABORT, 'audit_node is append-only'); END;
CREATE TRIGGER audit_checkpoint_fixed BEFORE UPDATE ON audit_checkpoint
BEGIN SELECT RAISE (ABORT, 'audit_checkpoint is append-only'); END;
CREATE TRIGGER audit_checkpoint_kept BEFORE DELETE ON audit_checkpoint
BEGIN SELECT RAISE (ABORT, 'audit_checkpoint is append-only'); END;

CREATE TRIGGER tag_fixed BEFORE UPDATE ON tag
WHEN OLD.to_seq IS NOT NULL OR NEW.to_seq IS NULL OR NEW.repository_id <> OLD.repository_id
    OR NEW.name <> OLD.name OR NEW.digest <> OLD.digest OR NEW.from_seq <> OLD.from_seq
BEGIN SELECT RAISE (ABORT, 'a row of tag can only be ended'); END;
CREATE TRIGGER tag_kept BEFORE DELETE ON tag
BEGIN SELECT RAISE (ABORT, 'rows of tag are history'); END;
CREATE TRIGGER role_grant_fixed BEFORE UPDATE ON role_grant
WHEN OLD.to_seq IS NOT NULL OR NEW.to_seq IS NULL OR NEW.principal_id <> OLD.principal_id
    OR NEW.role <> OLD.role OR NEW.from_seq <> OLD.from_seq
BEGIN SELECT RAISE (ABORT, 'a row of role_grant can only be ended'); END;
CREATE TRIGGER role_grant_kept BEFORE DELETE ON role_grant
BEGIN SELECT RAISE (ABORT, 'rows of role_grant are history'); END;
